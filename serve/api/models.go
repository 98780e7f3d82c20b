package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"candor/openai"
)

// find returns a model by its name; "" is the first.
func (s *Server) find(name string) (*Model, error) {
	if name == "" {
		return &s.Models[0], nil
	}
	if m := s.byName[name]; m != nil {
		return m, nil
	}
	are := "there is"
	if len(s.Models) > 1 {
		are = "there are"
	}
	return nil, &Fault{Status: http.StatusNotFound, Param: "model", Code: "model_not_found", Message: fmt.Sprintf("there is no model %s here; %s %s", shown(name), are, s.names())}
}

// names lists the models, the first of them.
func (s *Server) names() string {
	const most = 10
	var list []string
	for i := range s.Models {
		if i == most {
			list = append(list, "...")
			break
		}
		list = append(list, strconv.Quote(s.Models[i].Name))
	}
	return strings.Join(list, ", ")
}

func (s *Server) entry(m *Model) openai.Model {
	e := openai.Model{ID: m.Name, Object: "model", Created: s.created, OwnedBy: "candor", MaxModelLen: m.Served.Context}
	if m.Served.Dialect != "" { // else it is none of candor's own
		e.Candor = &m.Served
	}
	return e
}

func (x *exchange) models() error {
	list := openai.ModelList{Object: "list", Data: []openai.Model{}}
	for i := range x.s.Models {
		list.Data = append(list.Data, x.s.entry(&x.s.Models[i]))
	}
	x.reply(list)
	return nil
}

func (x *exchange) oneModel() error {
	m, err := x.s.find(x.r.PathValue("id"))
	if err != nil {
		return err
	}
	x.reply(x.s.entry(m))
	return nil
}
