package page

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"candor/serve/record"
)

// rows is how many traces a list has.
const rows = 50

// listPage is the list of traces.
type listPage struct {
	Filter record.Filter
	// Filtered tells that not all traces are listed.
	Filtered bool
	Rows     []row
	Texts    bool
	// Older and Newest are links, "" where there is nothing.
	Older, Newest string
	// Stream is where live rows come from, "" on older pages.
	Stream string
	// Choices of the filters.
	Outcomes         []record.Outcome
	Models, Monitors []string
}

func (s *site) list(w http.ResponseWriter, r *http.Request, v viewer) {
	f, err := filterOf(r, v)
	if err != nil {
		s.fault(w, r, v, http.StatusBadRequest, "The filter is not understood: "+line(err.Error())+".")
		return
	}
	list, more, err := s.Source.Traces(r.Context(), f)
	if err != nil {
		s.failed(w, r, v, "The traces", err)
		return
	}
	p := listPage{Filter: f, Texts: v.Texts(), Outcomes: outcomes}
	for _, sum := range list {
		p.Rows = append(p.Rows, newRow(sum, v.Texts()))
	}
	query := queryOf(f)
	p.Filtered = len(query) > 0
	switch {
	case f.Before > 0:
		p.Newest = "/?" + query.Encode()
	default:
		p.Stream = "/events?" + query.Encode()
	}
	if more && len(list) > 0 {
		query.Set("before", strconv.FormatInt(list[len(list)-1].Seq, 10))
		p.Older = "/?" + query.Encode()
	}
	p.Models, p.Monitors = s.choices(f)
	s.show(w, r, v, http.StatusOK, "list", "Traces", p)
}

// choices returns the models and monitors that can be filtered for, unless they have names that cannot be shown. What is filtered for
// now is one of them.
func (s *site) choices(f record.Filter) (models, monitors []string) {
	stats := s.Source.Stats()
	for _, m := range stats.Models {
		models = append(models, m.Name)
	}
	for _, g := range stats.Gates {
		monitors = append(monitors, g.Monitor)
	}
	pick := func(list []string, now string) []string {
		if now != "" {
			list = append(list, now)
		}
		list = slices.DeleteFunc(list, func(name string) bool { return line(name) != name })
		slices.Sort(list)
		return slices.Compact(list)
	}
	return pick(models, f.Model), pick(monitors, f.Monitor)
}

// filterOf reads a filter from a URL. Who may not read texts cannot search in them either.
func filterOf(r *http.Request, v viewer) (record.Filter, error) {
	q := r.URL.Query()
	f := record.Filter{Outcome: record.Outcome(q.Get("outcome")), Model: q.Get("model"), Key: q.Get("key"), Monitor: q.Get("monitor"), Limit: rows}
	if f.Outcome != "" && !slices.Contains(outcomes, f.Outcome) {
		return f, fmt.Errorf("there is no outcome %q", f.Outcome)
	}
	if v.Texts() {
		f.Text = q.Get("text")
	}
	if before := q.Get("before"); before != "" {
		var err error
		if f.Before, err = strconv.ParseInt(before, 10, 64); err != nil || f.Before < 1 {
			return f, fmt.Errorf("before is %q, must be the number of an entry", before)
		}
	}
	return f, nil
}

// queryOf writes what filterOf reads, but for the page.
func queryOf(f record.Filter) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"outcome": string(f.Outcome), "model": f.Model, "key": f.Key, "monitor": f.Monitor, "text": f.Text} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// row is one trace of the list.
type row struct {
	record.Summary
	Texts bool
}

func newRow(sum record.Summary, texts bool) row {
	if !texts {
		sum.Prompt = ""
	}
	return row{sum, texts}
}

// row writes one trace of the list.
func (s *site) row(sum *record.Summary, texts bool) (string, error) {
	var b bytes.Buffer
	err := s.pages["list"].ExecuteTemplate(&b, "row", newRow(*sum, texts))
	return b.String(), err
}
