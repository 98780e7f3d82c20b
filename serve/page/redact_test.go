package page

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"candor/reasoning/llm"
	"candor/serve/record"
)

func TestRedact(t *testing.T) {
	for name, tc := range map[string]struct {
		as, id string
		form   url.Values
		err    error
		status int
		say    string // on the page
	}{
		"redacted":      {as: "reviewer", form: url.Values{"why": {"the user asked for it"}}, status: http.StatusSeeOther},
		"no reason":     {as: "reviewer", form: url.Values{"why": {" "}}, status: http.StatusBadRequest, say: "needs a reason"},
		"other site":    {as: "reviewer", form: url.Values{"why": {"x"}, "csrf": {"guess"}}, status: http.StatusForbidden, say: "not of your session"},
		"an operator":   {as: "operator", form: url.Values{"why": {"x"}}, status: http.StatusForbidden, say: "Only a reviewer"},
		"nobody":        {form: url.Values{"why": {"x"}}, status: http.StatusUnauthorized, say: "not logged in"},
		"unknown":       {as: "reviewer", id: "none", form: url.Values{"why": {"x"}}, status: http.StatusNotFound, say: "no texts any more"},
		"ledger is off": {as: "reviewer", form: url.Values{"why": {"x"}}, err: errors.New("the disk is full"), status: http.StatusServiceUnavailable, say: "nothing was deleted"},
	} {
		src := newSource(exampleTrace(1, record.Released))
		src.err = tc.err
		if tc.id == "" {
			tc.id = "tr_000001"
		}
		w := submit(t, src, tc.as, "/traces/"+tc.id+"/redact", tc.form)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.say) {
			t.Errorf("%s: status %d, want %d with %q: %s", name, w.Code, tc.status, tc.say, w.Body)
		}
		if gone := src.traces[0].Messages == nil; gone != (name == "redacted") {
			t.Errorf("%s: the texts are gone: %v", name, gone)
		}
	}
}

// The form stands where it can be used: under a trace that has ended, for who may read it.
func TestRedactIsOffered(t *testing.T) {
	for _, tc := range []struct {
		as      string
		outcome record.Outcome
		want    bool
	}{{"reviewer", record.Released, true}, {"operator", record.Released, false}} {
		body := get(newPage(t, newSource(exampleTrace(1, tc.outcome))), tc.as, "/traces/tr_000001").Body.String()
		if strings.Contains(body, "/redact") != tc.want {
			t.Errorf("%s, %s: the form is there: %v", tc.as, tc.outcome, !tc.want)
		}
	}
}

func TestWhatIsNoChainIsCalledSo(t *testing.T) {
	for kind, want := range map[llm.Provenance]string{llm.Summary: "a summary of the chain", llm.Leaked: "where it ends is a guess", llm.Encrypted: "which is encrypted", llm.Raw: "", "": ""} {
		tr := exampleTrace(1, record.Released)
		tr.Stages[0].Provenance = kind
		body := get(newPage(t, newSource(tr)), "reviewer", "/traces/tr_000001").Body.String()
		if want == "" && strings.Contains(body, "account this is") || !strings.Contains(body, want) {
			t.Errorf("%q: the page does not say %q", kind, want)
		}
	}
}
