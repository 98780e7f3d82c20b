package page

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"candor/reasoning/llm"
	"candor/serve/record"
)

// text sends one text of a trace whole, as it is. A browser saves it and shows nothing of it.
func (s *site) text(w http.ResponseWriter, r *http.Request, v viewer) {
	if !v.Texts() {
		s.fault(w, r, v, http.StatusForbidden, "Texts are for reviewers.")
		return
	}
	t, err := s.Source.Trace(r.Context(), r.PathValue("id"))
	if err != nil {
		s.failed(w, r, v, "The trace", err)
		return
	}
	part := r.PathValue("part")
	text, ok := textOf(t, strings.Split(part, "/"))
	if !ok {
		s.fault(w, r, v, http.StatusNotFound, "The trace has no such text; it may have been redacted.")
		return
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, part)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+name+`.txt"`)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = io.WriteString(w, text)
}

// textOf finds a text by the path that the page's links have.
func textOf(t *record.Trace, path []string) (string, bool) {
	switch path[0] {
	case "answer":
		if t.Answer == nil {
			return "", false
		}
		if len(path) == 1 {
			return t.Answer.Text, true
		}
		return callOf(t.Answer.Calls, path[1:])
	case "messages":
		i, ok := index(path, 1, len(t.Messages))
		if !ok {
			return "", false
		}
		if len(path) == 2 {
			return t.Messages[i].Text, true
		}
		return callOf(t.Messages[i].Calls, path[2:])
	case "stages":
		if i, ok := index(path, 1, len(t.Stages)); ok && len(path) > 2 {
			return stageText(&t.Stages[i], path[2:])
		}
	}
	return "", false
}

func stageText(s *record.StageOf, path []string) (string, bool) {
	var texts map[string]string
	var calls []llm.ToolCall
	switch {
	case s.Try != nil:
		t := s.Try
		texts = map[string]string{"private": t.Private, "shown": t.Shown, "draft": t.Draft, "brief": t.Brief, "output": t.Output}
		calls = t.Calls
	case s.Action != nil:
		a := s.Action
		texts = map[string]string{"goal": a.Goal, "chain": a.Chain, "why": a.Why, "result": a.Result, "call": a.Call.Arguments, "failed": strings.Join(a.Failed, "\n")}
		if a.Modified != nil {
			texts["modified"] = a.Modified.Arguments
		}
	}
	if len(path) == 1 {
		text, ok := texts[path[0]]
		return text, ok
	}
	return callOf(calls, path)
}

// callOf finds the arguments of a call by a path "calls/n".
func callOf(calls []llm.ToolCall, path []string) (string, bool) {
	if i, ok := index(path, 1, len(calls)); ok && len(path) == 2 && path[0] == "calls" {
		return calls[i].Arguments, true
	}
	return "", false
}

// index reads a number below n from a path.
func index(path []string, at, n int) (int, bool) {
	if at >= len(path) {
		return 0, false
	}
	i, err := strconv.Atoi(path[at])
	return i, err == nil && i >= 0 && i < n
}
