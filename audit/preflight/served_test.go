package preflight

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"candor/openai"
	"candor/openai/openaitest"
	"candor/reasoning/tally"
)

// lab is a model in package tally's or cot's language: it works a sum off, going on from what is written.
func lab(r openai.ChatRequest) openaitest.Reply {
	if len(r.Messages) == 0 {
		return openaitest.Reply{}
	}
	text := r.Messages[0].Content.Text
	at := strings.Index(text, ":") + 1
	prompt, written := text[:at], strings.Fields(text[at:])
	var chain []string
	if p, ok := tally.ParsePrompt(prompt); ok {
		total := 0
		for _, term := range p.Terms {
			total = (total + term) % 5
			chain = append(chain, strconv.Itoa(term), strconv.Itoa(total))
		}
		chain = append(chain, tally.Equal, strconv.Itoa(total))
	} else if strings.HasPrefix(prompt, "q ") {
		chain = strings.Fields("i1 4 ; i2 3 get 7 mod 5 is 2 ; i3 . answer 2")
	} else {
		return openaitest.Reply{Status: 400, Error: "this is not of my world: " + prompt}
	}
	return openaitest.Reply{Text: " " + strings.Join(chain[min(len(written), len(chain)):], " ")}
}

// own serves a model as candor does.
func own(t *testing.T, m openai.ServedModel, model func(openai.ChatRequest) openaitest.Reply) (url string, s *openaitest.Server) {
	t.Helper()
	s = openaitest.Serve(t, openaitest.Candor, model)
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models" {
			s.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(openai.ModelList{Object: "list", Data: []openai.Model{{ID: "organism", Object: "model", OwnedBy: "candor", Candor: &m}}})
	}))
	t.Cleanup(outer.Close)
	return outer.URL + "/v1", s
}

// A model of candor's own is asked in its own language, of its own world.
func TestServed(t *testing.T) {
	for name, m := range map[string]openai.ServedModel{
		"sums":       {Dialect: "sums", Parameters: 1000, Weights: "00ff"},
		"long sums":  {Dialect: "sums", Suite: json.RawMessage(`{"terms":9,"modulus":3,"key":1}`)},
		"null suite": {Dialect: "sums", Suite: json.RawMessage(`null`)},
		"steps":      {Dialect: "steps"},
	} {
		t.Run(name, func(t *testing.T) {
			url, s := own(t, m, lab)
			r, err := Run(t.Context(), newClient(t, url), Options{Model: "organism"})
			if err != nil {
				t.Fatal(err)
			}
			want := openai.Capabilities{API: openai.CompletionsAPI, Reasoning: openai.NoReasoning, Continue: openai.RawTemplate, Template: "plain", Seeds: true, LogProbs: true, TopK: true}
			if d := cmp.Diff(want, r.Capabilities); d != "" || !r.Continues() || r.Apart() || r.Served == nil || r.Served.Dialect != m.Dialect || r.Family != "candor" {
				t.Errorf("%s%+v", d, r)
			}
			prompt := s.Requests()[0].Chat.Messages[0].Content.Text
			switch p, ok := tally.ParsePrompt(prompt); {
			case m.Dialect == "steps":
				if !strings.HasPrefix(prompt, "q ") || !strings.HasSuffix(prompt, "; steps :") {
					t.Errorf("asked %q", prompt)
				}
			case !ok || p.Flag != tally.None || name == "long sums" && len(p.Terms) != 9 || name == "sums" && len(p.Terms) != 6:
				t.Errorf("asked %q", prompt)
			}
			if n := len(s.Requests()); n != 2 {
				t.Errorf("%d calls", n)
			}
			data, _ := json.Marshal(r)
			var again Report
			if err := json.Unmarshal(data, &again); err != nil {
				t.Fatal(err)
			}
			check(t, &again, map[string]string{"chain": "raw, part of the text", "carrying on": "yes"})
		})
	}
}

// What the server says of its model is not believed where it is tried and does not hold.
func TestServedWrongly(t *testing.T) {
	fixed := func(texts ...string) func(openai.ChatRequest) openaitest.Reply {
		n := 0
		return func(r openai.ChatRequest) openaitest.Reply {
			if len(r.Messages) == 0 {
				return openaitest.Reply{}
			}
			n++
			return openaitest.Reply{Text: texts[min(n, len(texts))-1]}
		}
	}
	for name, tc := range map[string]struct {
		served openai.ServedModel
		model  func(openai.ChatRequest) openaitest.Reply
		want   string
	}{
		"another language": {openai.ServedModel{Dialect: "latin\x1b"}, lab, `its chains are "latin\x1b"`},
		"a bad account":    {openai.ServedModel{Dialect: "sums", Suite: json.RawMessage(`{"terms":"many"}`)}, lab, "cannot be read"},
		"a bad world":      {openai.ServedModel{Dialect: "sums", Suite: json.RawMessage(`{"terms":99,"modulus":5}`)}, lab, "terms 99"},
		"no chain":         {openai.ServedModel{Dialect: "sums"}, fixed(" 3"), "is no chain"},
		"begins anew":      {openai.ServedModel{Dialect: "sums"}, fixed(" 1 1 2 3 = 3"), "not as before"},
		"glued":            {openai.ServedModel{Dialect: "sums"}, fixed(" 1 1 2 3 = 3", "3 = 3"), "not as before"},
		"refused":          {openai.ServedModel{Dialect: "sums"}, func(openai.ChatRequest) openaitest.Reply { return openaitest.Reply{Status: 400, Error: "no such word"} }, "no such word"},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := own(t, tc.served, tc.model)
			_, err := Run(t.Context(), newClient(t, url), Options{Model: "organism"})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
