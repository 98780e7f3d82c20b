package page

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"candor/serve/record"
)

const (
	// queue is how many waiting answers are shown; others move up as these are decided.
	queue = 20
	// maxWhy bounds a reason, in characters.
	maxWhy = 2000
)

// decide is what the two forms of a waiting answer need.
type decide struct {
	ID    string
	N     int // tells the forms of a page apart
	Token string
}

// heldPage is the queue.
type heldPage struct {
	Texts bool
	Items []heldItem
	More  int
	// Done says what became of the answer DoneID a moment ago.
	Done, DoneID string
}

// heldItem is an answer that waits.
type heldItem struct {
	record.Summary
	Waits  string
	Answer *answer
	Gates  []gate
	Fault  string // why its texts are not here
	Decide decide
}

func (s *site) held(w http.ResponseWriter, r *http.Request, v viewer) {
	list, err := s.Source.Held(r.Context())
	if err != nil {
		s.failed(w, r, v, "The queue", err)
		return
	}
	p := heldPage{Texts: v.Texts(), More: max(0, len(list)-queue), DoneID: r.FormValue("id")}
	switch done := r.FormValue("done"); done {
	case "approved", "rejected":
		p.Done = done
	}
	now, token := s.Clock(), s.Guard.Token(r)
	for i, sum := range list[:min(len(list), queue)] {
		item := heldItem{Summary: newRow(sum, v.Texts()).Summary, Waits: took(max(0, now.Sub(sum.Began))), Decide: decide{ID: sum.ID, N: i + 1, Token: token}}
		if t, err := s.Source.Trace(r.Context(), sum.ID); err != nil {
			item.Fault = line(err.Error())
		} else {
			item.fill(t, v)
		}
		p.Items = append(p.Items, item)
	}
	s.show(w, r, v, http.StatusOK, "held", "Held", p)
}

// fill adds what a person needs to decide: the answer, and what the gates said of the last try.
func (h *heldItem) fill(t *record.Trace, viewer viewer) {
	if !viewer.Texts() {
		t = facts(t)
	}
	v := &view{id: t.ID, left: maxText}
	if t.Answer != nil {
		h.Answer = &answer{v.block(t.Answer.Text, "answer", nil), v.toolCalls(t.Answer.Calls, "answer/calls")}
	}
	for i := len(t.Stages) - 1; i >= 0; i-- {
		st := &t.Stages[i]
		if len(st.Verdicts) == 0 {
			continue
		}
		for g, verdict := range st.Verdicts {
			one := gate{Verdict: verdict}
			if st.Try != nil && g < len(st.Try.Findings) {
				one.Note = st.Try.Findings[g].Note
			}
			h.Gates = append(h.Gates, one)
		}
		break
	}
}

// posted checks a form by which a reviewer does something for a reason, and returns the reason. It answers what is no such form, with
// nothing as the last sentence.
func (s *site) posted(w http.ResponseWriter, r *http.Request, v viewer, only, nothing string) (why string, ok bool) {
	if err := r.ParseForm(); err != nil {
		s.fault(w, r, v, http.StatusBadRequest, "The form could not be read: "+line(err.Error())+"."+nothing)
		return "", false
	}
	if err := s.Guard.Check(r); err != nil {
		s.fault(w, r, v, http.StatusForbidden, sentence(err)+nothing)
		return "", false
	}
	if !v.Reviewer {
		s.fault(w, r, v, http.StatusForbidden, only+nothing)
		return "", false
	}
	why = strings.TrimSpace(strings.ToValidUTF8(r.PostForm.Get("why"), "\uFFFD"))
	switch n := utf8.RuneCountInString(why); {
	case n == 0:
		s.fault(w, r, v, http.StatusBadRequest, "This needs a reason, which is recorded with it."+nothing)
	case n > maxWhy:
		s.fault(w, r, v, http.StatusBadRequest, "The reason has "+count(n)+" characters, at most "+count(maxWhy)+" are kept."+nothing)
	default:
		return why, true
	}
	return "", false
}

// review decides on a held answer.
func (s *site) review(w http.ResponseWriter, r *http.Request, v viewer) {
	nothing := " Nothing was decided."
	why, ok := s.posted(w, r, v, "Only a reviewer decides what is let out.", nothing)
	if !ok {
		return
	}
	decision := r.PostForm.Get("decision")
	if decision != "approve" && decision != "reject" {
		s.fault(w, r, v, http.StatusBadRequest, `The decision must be "approve" or "reject".`+nothing)
		return
	}
	id := r.PathValue("id")
	err := s.Source.Decide(r.Context(), id, record.Review{Approve: decision == "approve", Who: v.Name, Why: why})
	switch {
	case errors.Is(err, record.ErrDecided):
		s.fault(w, r, v, http.StatusConflict, "Somebody has decided on this answer already, and it stays as they did.")
	case errors.Is(err, record.ErrUnknown):
		s.fault(w, r, v, http.StatusNotFound, "There is no such answer that waits."+nothing)
	case err != nil:
		s.fault(w, r, v, http.StatusServiceUnavailable, "The decision could not be recorded, so it does not count: "+line(err.Error())+". The answer still waits; try again in a moment.")
	default:
		done := map[string]string{"approve": "approved", "reject": "rejected"}[decision]
		http.Redirect(w, r, "/held?done="+done+"&id="+escape(id), http.StatusSeeOther)
	}
}

// redact deletes the texts of a trace.
func (s *site) redact(w http.ResponseWriter, r *http.Request, v viewer) {
	nothing := " Nothing was deleted."
	why, ok := s.posted(w, r, v, "Only a reviewer deletes texts.", nothing)
	if !ok {
		return
	}
	id := r.PathValue("id")
	switch _, err := s.Source.Redact(r.Context(), id, v.Name, why); {
	case errors.Is(err, record.ErrUnknown):
		s.fault(w, r, v, http.StatusNotFound, "There is no such trace, or it has no texts any more."+nothing)
	case err != nil:
		s.fault(w, r, v, http.StatusServiceUnavailable, "The deletion could not be recorded, so nothing was deleted: "+line(err.Error())+".")
	default:
		http.Redirect(w, r, "/traces/"+escape(id), http.StatusSeeOther)
	}
}
