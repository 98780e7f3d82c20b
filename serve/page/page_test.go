package page

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"candor/reasoning/llm"
	"candor/serve/auth"
	"candor/serve/record"
)

var _ Guard = (*auth.Sessions)(nil)

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := New(Options{Source: newSource(), Clock: nil, Guard: fakeGuard{}}); err == nil {
		t.Error("a page without a clock is made")
	}
	if _, err := New(Options{Source: newSource()}); err == nil || !strings.Contains(err.Error(), "Guard") {
		t.Errorf("a page without a guard: %v", err)
	}
}

// Who may not read texts finds none of them anywhere, and nobody else finds anything.
func TestRoles(t *testing.T) {
	src := newSource(exampleTrace(1, record.Released), exampleTrace(2, record.Held), exampleTrace(3, record.Blocked), agentTrace(4))
	h := newPage(t, src)
	secrets := []string{secretChain, secretPrompt, secretOutput}
	paths := []string{"/", "/?text=SECRET", "/traces/tr_000001", "/traces/tr_000002", "/traces/tr_000003", "/traces/tr_000004", "/held", "/load",
		"/traces/tr_000001/text/stages/0/private", "/traces/tr_000001/text/messages/1", "/traces/tr_000001/text/answer", "/traces/tr_000004/text/stages/0/result"}
	for _, path := range paths {
		for as, status := range map[string]int{"": http.StatusSeeOther, "user": http.StatusForbidden} {
			w := get(h, as, path)
			if w.Code != status {
				t.Errorf("%s as %q: status %d, want %d", path, as, w.Code, status)
			}
			for _, word := range append(secrets, "tr_00000", "step-checker") {
				if strings.Contains(strings.ReplaceAll(w.Body.String(), "next="+escape(path), ""), word) {
					t.Errorf("%s as %q shows %s", path, as, word)
				}
			}
		}
		w := get(h, "operator", path)
		if strings.Contains(path, "/text/") != (w.Code == http.StatusForbidden) {
			t.Errorf("%s as operator: status %d", path, w.Code)
		}
		for _, word := range append(secrets, "nobody checks", "one step is not", "policy and chain", "did not answer within", "You add up", "tidy up", "/tmp/x") {
			if strings.Contains(w.Body.String(), word) {
				t.Errorf("%s shows %q to an operator", path, word)
			}
		}
		if w := get(h, "reviewer", path); w.Code != http.StatusOK {
			t.Errorf("%s as reviewer: status %d", path, w.Code)
		}
	}
	for path, want := range map[string][]string{
		"/": {secretPrompt}, "/held": {secretPrompt, secretOutput}, "/traces/tr_000002": secrets, "/traces/tr_000004": append([]string{"/tmp/x", "too much"}, secrets...),
		"/traces/tr_000001/text/stages/0/private": {secretChain},
	} {
		body := get(h, "reviewer", path).Body.String()
		for _, word := range want {
			if !strings.Contains(body, word) {
				t.Errorf("%s does not show %s to a reviewer", path, word)
			}
		}
	}
	// A search that finds nothing else would tell what the prompts have.
	if body := get(h, "operator", "/?text=no-such-words").Body.String(); !strings.Contains(body, "tr_000001") {
		t.Error("an operator can search in texts")
	}
	if body := get(h, "operator", "/traces/tr_000003").Body.String(); !strings.Contains(body, "step-checker") || !strings.Contains(body, "0.75") || !strings.Contains(body, "connection refused") {
		t.Error("an operator does not see facts")
	}
}

func TestHeaders(t *testing.T) {
	h := newPage(t, newSource(exampleTrace(1, record.Released)))
	for _, path := range []string{"/", "/login", "/no-such-page", "/assets/page.js", "/assets/style.css", "/traces/tr_000001/text/answer"} {
		header := get(h, "reviewer", path).Header()
		csp := header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, header)
		}
	}
	header := get(h, "reviewer", "/traces/tr_000001/text/answer").Header()
	if header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.HasPrefix(header.Get("Content-Disposition"), "attachment") {
		t.Errorf("a download has headers %v", header)
	}
	// The policy forbids what is written into a page, so nothing may be.
	for _, path := range []string{"/", "/held", "/load", "/traces/tr_000001"} {
		for _, n := range parse(t, get(h, "reviewer", path).Body.String()) {
			if n.attr["style"] != "" || n.name == "style" || n.name == "script" && n.text != "" {
				t.Errorf("%s has script or style within the page: %v", path, n)
			}
			for a := range n.attr {
				if strings.HasPrefix(a, "on") {
					t.Errorf("%s has a handler %s within the page", path, a)
				}
			}
		}
	}
	r := get(h, "", "/assets/page.js")
	if w := get(h, "", "/assets/none.js"); r.Code != http.StatusOK || w.Code != http.StatusNotFound {
		t.Errorf("files have status %d and %d", r.Code, w.Code)
	}
}

// Every control has a label, every id is there once, every link into the page leads somewhere.
func TestForm(t *testing.T) {
	h := newPage(t, newSource(exampleTrace(1, record.Released), exampleTrace(2, record.Held), exampleTrace(3, record.Held), agentTrace(4)))
	for _, path := range []string{"/", "/held", "/load", "/login", "/logout", "/traces/tr_000002", "/traces/tr_000004", "/no-such-page"} {
		all := parse(t, get(h, map[bool]string{true: "", false: "reviewer operator"}[path == "/login"], path).Body.String())
		ids := map[string]int{}
		for _, n := range all {
			if id, ok := n.attr["id"]; ok {
				ids[id]++
			}
		}
		for id, n := range ids {
			if n != 1 {
				t.Errorf("%s has %d elements with id %s", path, n, id)
			}
		}
		for _, n := range all {
			for _, a := range []string{"for", "aria-labelledby", "aria-describedby"} {
				if id := n.attr[a]; id != "" && ids[id] == 0 {
					t.Errorf("%s: %s=%s leads nowhere", path, a, id)
				}
			}
			if to, ok := strings.CutPrefix(n.attr["href"], "#"); ok && ids[to] == 0 {
				t.Errorf("%s: the link to #%s leads nowhere", path, to)
			}
			if (n.name == "input" || n.name == "select") && n.attr["type"] != "hidden" && n.attr["hidden"] == "" && n.up.name != "label" && len(find(all, "label", "for", n.attr["id"])) == 0 {
				t.Errorf("%s: the %s %s has no label", path, n.name, n.attr["name"])
			}
		}
		if len(find(all, "h1", "", "")) != 1 || len(find(all, "main", "", "")) != 1 || one(t, all, "a", "class", "skip").attr["href"] != "#main" {
			t.Errorf("%s has not one heading, one main part and a link to it", path)
		}
	}
}

func TestLogin(t *testing.T) {
	h := newPage(t, newSource())
	w := get(h, "", "/traces/a%20b?x=1")
	if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != "/login?next=%2Ftraces%2Fa%2520b%3Fx%3D1" {
		t.Errorf("status %d to %q", w.Code, got)
	}
	all := parse(t, get(h, "", w.Header().Get("Location")).Body.String())
	if got := one(t, all, "input", "name", "next").attr["value"]; got != "/traces/a%20b?x=1" {
		t.Errorf("the form leads back to %q", got)
	}
	for next, want := range map[string]string{"/held": "/held", "//evil.example": "/", "https://evil.example": "/", "/\\evil.example": "/", "": "/", "/a\tb": "/"} {
		w := post(h, "", "/login", url.Values{"key": {"reviewer"}, "next": {next}})
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != want || w.Header().Get("Set-Cookie") == "" {
			t.Errorf("from %q: status %d to %q", next, w.Code, w.Header().Get("Location"))
		}
	}
	w = post(h, "", "/login", url.Values{"key": {"wrong<b>"}})
	if w.Code != http.StatusUnauthorized || w.Header().Get("Set-Cookie") != "" || !strings.Contains(w.Body.String(), "This key does not open the page.") || strings.Contains(w.Body.String(), "wrong") {
		t.Errorf("a wrong key: status %d, %s", w.Code, w.Body)
	}
	if w := post(h, "reviewer", "/logout", url.Values{"csrf": {"other"}}); w.Code != http.StatusForbidden || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("a logout by another site: status %d", w.Code)
	}
	if w := post(h, "reviewer", "/logout", url.Values{"csrf": {"token-of-reviewer"}}); w.Code != http.StatusSeeOther || w.Header().Get("Set-Cookie") == "" {
		t.Errorf("a logout: status %d", w.Code)
	}
}

func TestReview(t *testing.T) {
	for name, tc := range map[string]struct {
		as, id string
		form   url.Values
		err    error
		status int
		say    string // on the page
	}{
		"approved":      {as: "reviewer", form: url.Values{"decision": {"approve"}, "why": {" it is fine "}}, status: http.StatusSeeOther},
		"rejected":      {as: "reviewer", form: url.Values{"decision": {"reject"}, "why": {"it lies"}}, status: http.StatusSeeOther},
		"no reason":     {as: "reviewer", form: url.Values{"decision": {"approve"}, "why": {" \n"}}, status: http.StatusBadRequest, say: "needs a reason"},
		"long reason":   {as: "reviewer", form: url.Values{"decision": {"approve"}, "why": {strings.Repeat("é", maxWhy+1)}}, status: http.StatusBadRequest, say: "2,001 characters"},
		"huge form":     {as: "reviewer", form: url.Values{"decision": {"approve"}, "why": {strings.Repeat("a", 1<<20)}}, status: http.StatusBadRequest, say: "could not be read"},
		"no decision":   {as: "reviewer", form: url.Values{"why": {"x"}}, status: http.StatusBadRequest, say: "must be"},
		"other site":    {as: "reviewer", form: url.Values{"decision": {"approve"}, "why": {"x"}, "csrf": {"guess"}}, status: http.StatusForbidden, say: "This form is not of your session."},
		"an operator":   {as: "operator", form: url.Values{"decision": {"approve"}, "why": {"x"}}, status: http.StatusForbidden, say: "Only a reviewer"},
		"a user":        {as: "user", form: url.Values{"decision": {"approve"}, "why": {"x"}}, status: http.StatusForbidden, say: "key of a reviewer"},
		"nobody":        {form: url.Values{"decision": {"approve"}, "why": {"x"}}, status: http.StatusUnauthorized, say: "not logged in"},
		"unknown":       {as: "reviewer", id: "none", form: url.Values{"decision": {"approve"}, "why": {"x"}}, status: http.StatusNotFound, say: "no such answer"},
		"decided":       {as: "reviewer", id: "tr_000001", form: url.Values{"decision": {"approve"}, "why": {"x"}}, status: http.StatusConflict, say: "decided on this answer already"},
		"ledger is off": {as: "reviewer", form: url.Values{"decision": {"approve"}, "why": {"x"}}, err: errors.New("the disk is full"), status: http.StatusServiceUnavailable, say: "the disk is full"},
	} {
		src := newSource(exampleTrace(1, record.Blocked), exampleTrace(2, record.Held))
		src.err = tc.err
		if tc.id == "" {
			tc.id = "tr_000002"
		}
		w := submit(t, src, tc.as, "/traces/"+tc.id+"/review", tc.form)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.say) {
			t.Errorf("%s: status %d, want %d with %q: %s", name, w.Code, tc.status, tc.say, w.Body)
		}
		if tc.status != http.StatusSeeOther {
			if len(src.reviews) > 0 {
				t.Errorf("%s: it was decided", name)
			}
			continue
		}
		want := record.Review{Approve: name == "approved", Who: "Ada", Why: strings.TrimSpace(tc.form.Get("why"))}
		if got := src.reviews["tr_000002"]; got != want || w.Header().Get("Location") != "/held?done="+name+"&id=tr_000002" {
			t.Errorf("%s: decided %+v, then %s", name, got, w.Header().Get("Location"))
		}
	}
}

func TestFaultsOfTheSourceAreToldAsASentence(t *testing.T) {
	src := newSource(exampleTrace(1, record.Released))
	src.err = errors.New("opening <b>the</b> ledger: locked")
	h := newPage(t, src)
	for _, path := range []string{"/", "/traces/tr_000001", "/held"} {
		w := get(h, "reviewer", path)
		all := parse(t, w.Body.String())
		if got := words1(one(t, all, "p", "role", "alert").text); w.Code != http.StatusServiceUnavailable || !strings.Contains(got, "could not be read: opening <b>the</b> ledger: locked. Reload") {
			t.Errorf("%s: status %d: %s", path, w.Code, got)
		}
	}
	if w := get(h, "reviewer", "/traces/none"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "There is no such trace.") {
		t.Errorf("an unknown trace: %d", w.Code)
	}
	for _, path := range []string{"/?outcome=none", "/?before=x", "/?before=-1"} {
		if w := get(h, "reviewer", path); w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	for _, path := range []string{"messages/9", "messages/-1", "messages/x", "stages/9/private", "stages/0/none", "stages/0", "answer/calls/0", "stages/0/calls/7", "x"} {
		src.err = nil
		if w := get(h, "reviewer", "/traces/tr_000001/text/"+path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	src.stats.Store = "the disk is full"
	if all := parse(t, get(h, "operator", "/load").Body.String()); !strings.Contains(one(t, all, "p", "role", "alert").text, "the disk is full") {
		t.Error("nobody is told that the ledger takes no entries")
	}
}

func TestList(t *testing.T) {
	src := newSource()
	for i := range int64(120) {
		src.add(exampleTrace(i+1, record.Released))
	}
	src.add(exampleTrace(121, record.Blocked))
	h := newPage(t, src)
	all := parse(t, get(h, "reviewer", "/").Body.String())
	var seqs []string
	for _, n := range find(all, "tr", "data-seq", "") {
		seqs = append(seqs, n.attr["data-seq"])
	}
	if len(seqs) != rows || seqs[0] != "121" || seqs[49] != "72" {
		t.Fatalf("the first page has %d rows, %v", len(seqs), seqs)
	}
	if got := one(t, all, "a", "rel", "next").attr["href"]; got != "/?before=72" {
		t.Errorf("older is %s", got)
	}
	first := words1(all[indexOf(all, "data-seq", "121")].text)
	for _, want := range []string{"2026-03-01 12:02:01", "■ blocked", "candor", "app-1", secretPrompt, "step-checker, model-judge", "3.42 s"} {
		if !strings.Contains(first, want) {
			t.Errorf("the row %q does not say %q", first, want)
		}
	}
	if got := one(t, all, "div", "id", "live").attr["data-stream"]; got != "/events?" {
		t.Errorf("the stream is %q", got)
	}
	all = parse(t, get(h, "reviewer", "/?outcome=blocked&monitor=step-checker&text=numbers").Body.String())
	if indexOf(all, "data-seq", "121") < 0 || indexOf(all, "data-seq", "120") >= 0 {
		t.Error("the filter does not filter")
	}
	if got := one(t, all, "div", "id", "live").attr["data-stream"]; got != "/events?monitor=step-checker&outcome=blocked&text=numbers" {
		t.Errorf("the stream is %q", got)
	}
	if got := find(all, "option", "selected", ""); len(got) != 2 || got[0].attr["value"] != "blocked" || got[1].attr["value"] != "step-checker" {
		t.Errorf("selected are %q", texts(got))
	}
	all = parse(t, get(h, "reviewer", "/?before=30").Body.String())
	if indexOf(all, "data-seq", "29") < 0 || len(find(all, "a", "rel", "next")) != 0 || len(find(all, "div", "id", "live")) != 0 {
		t.Error("the last page is not the last, or is live")
	}
}

func indexOf(all []*node, attr, value string) int {
	for i, n := range all {
		if n.attr[attr] == value {
			return i
		}
	}
	return -1
}

func TestTrace(t *testing.T) {
	src := newSource(exampleTrace(7, record.Blocked), agentTrace(8))
	h := newPage(t, src)
	all := parse(t, get(h, "reviewer", "/traces/tr_000007").Body.String())
	marks := find(all, "mark", "", "")
	if len(marks) != 2 || marks[0].text != "as nobody checks" || marks[1].text != "17" {
		t.Errorf("marked are %v", texts(marks))
	}
	if del, ins := texts(find(all, "del", "", "")), texts(find(all, "ins", "", "")); !slices.Equal(del, []string{"key is named in the prompt, so 17", "the total.", "9, as nobody checks."}) || !slices.Equal(ins, []string{"total", "17.", "9."}) {
		t.Errorf("taken out %q, put in %q", del, ins)
	}
	page := words1(one(t, all, "main", "", "").text)
	for _, want := range []string{"■ blocked: The answer was withheld.", "0.75", "▲ error", "did not answer within 2 s", "hides its source", "as nobody checks” in the chain", "connection refused", "61", "policy and chain",
		"3.42 s, 3.41 s of it in models", strings.Repeat("0", 10), "28"} {
		if want = strings.ReplaceAll(want, "”", ""); !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	page = words1(one(t, parse(t, get(h, "reviewer", "/traces/tr_000008").Body.String()), "main", "", "").text)
	for _, want := range []string{"Action 1 review: modify", `{"path":"/"}`, `{"path":"/tmp/x"}`, "too much", "1 file deleted", "Answer that was let out"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func texts(nodes []*node) (out []string) {
	for _, n := range nodes {
		out = append(out, n.text)
	}
	return out
}

func TestRedactedAndReviewedTraceSaysSo(t *testing.T) {
	tr := exampleTrace(1, record.Approved)
	tr.Messages, tr.Answer, tr.Stages[0].Try, tr.Redacted = nil, nil, nil, []string{"prompt", "try", "answer"}
	tr.Review, tr.Reviewed = &record.Review{Approve: true, Who: "Grace", Why: "looked <i>well</i>"}, start
	page := words1(one(t, parse(t, get(newPage(t, newSource(tr)), "reviewer", "/traces/tr_000001").Body.String()), "main", "", "").text)
	for _, want := range []string{"Redacted: prompt, try, answer.", "✓ Approved by Grace at 2026-03-01 12:00:00: looked <i>well</i>", "they may have been redacted"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q: %s", want, page)
		}
	}
}

func TestHeldIsAQueue(t *testing.T) {
	src := newSource()
	for i := range int64(queue + 3) {
		src.add(exampleTrace(i+1, record.Held))
	}
	h := newPage(t, src)
	all := parse(t, get(h, "reviewer", "/held?done=approved&id=tr_%3Cb%3E").Body.String())
	items := find(all, "li", "class", "item")
	if len(items) != queue || items[0].attr["data-id"] != "tr_000001" {
		t.Fatalf("the queue has %d items, first %v", len(items), items[0].attr)
	}
	page := words1(one(t, all, "main", "", "").text)
	for _, want := range []string{"23 answers wait for a person", "3 more answers will move up", "✓ The answer was approved", "0.75"} {
		if !strings.Contains(page, want) {
			t.Errorf("the queue does not say %q", want)
		}
	}
	if n := len(find(all, "input", "name", "why")); n != 2*queue {
		t.Errorf("%d reasons can be given", n)
	}
	if n := len(find(parse(t, get(h, "operator", "/held").Body.String()), "input", "name", "why")); n != 0 {
		t.Errorf("an operator can give %d reasons", n)
	}
	if all := parse(t, get(newPage(t, newSource()), "reviewer", "/held").Body.String()); !strings.Contains(one(t, all, "main", "", "").text, "No answer waits") {
		t.Error("an empty queue does not say so")
	}
}

func TestLoad(t *testing.T) {
	src := newSource()
	page := words1(one(t, parse(t, get(newPage(t, src), "operator", "/load").Body.String()), "main", "", "").text)
	for _, want := range []string{"up 2 h 5 min", "in work 3", "overhead of the gateway itself 1,000 210 µs 800 µs 1.40 ms", "tool 0 – – –", "threshold 0.50 · 5% of 400 good chains reach it", "● pass 99.1% 4,790", "■ block 0.8% 41",
		"where it comes from is not said", "△ ungated", "✓ gated", "● released 4,812 98.9%"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q: %s", want, page)
		}
	}
	src.stats = record.Stats{}
	page = words1(one(t, parse(t, get(newPage(t, src), "operator", "/load").Body.String()), "main", "", "").text)
	for _, want := range []string{"There are no gates", "No request has ended", "Nothing was asked"} {
		if !strings.Contains(page, want) {
			t.Errorf("an idle gateway's page does not say %q: %s", want, page)
		}
	}
}

const attack = "<script>window.pwned=1</script><img src=x onerror=\"window.pwned=2\">\"'`{{.}}</td></table></textarea>\x1b[2J\x1b]0;x\x07\u202eevil\u202c\u200b\ufeff\x00\xff\xfe\u2028</style>javascript:window.pwned=3"

// hostile puts a text everywhere where a text can be.
func hostile(t *record.Trace, text string) *record.Trace {
	t.Prompt, t.Reason, t.Begin.Model, t.Begin.Key, t.Begin.Request, t.Begin.Protocol = record.Excerpt(text), text, text, text, text, text
	t.Flagged, t.Redacted = []string{text, text}, []string{text}
	for i := range t.Messages {
		t.Messages[i].Text, t.Messages[i].CallID = text, text
		t.Messages[i].Calls = []llm.ToolCall{{ID: text, Name: text, Arguments: text}}
	}
	for i := range t.Stages {
		s := &t.Stages[i]
		s.Err, s.System = text, text
		for j := range s.Verdicts {
			s.Verdicts[j].Monitor, s.Verdicts[j].Note = text, text
		}
		for j := range s.Calls {
			s.Calls[j].Model, s.Calls[j].Err = text, text
		}
		if try := s.Try; try != nil {
			try.Private, try.Shown, try.Draft, try.Brief, try.Output = text, text, text, text, text
			try.Steps = []record.Step{{Written: text, Rewritten: "so " + text}}
			try.Calls = []llm.ToolCall{{Name: text, Arguments: text}}
			for j := range try.Findings {
				try.Findings[j].Note = text
			}
		}
		if a := s.Action; a != nil {
			*a = record.Action{Goal: text, Chain: text, Call: llm.ToolCall{Name: text, Arguments: text}, Why: text, Result: text, Modified: &llm.ToolCall{Name: text, Arguments: text}}
		}
	}
	if t.Answer != nil {
		t.Answer.Text = text
	}
	t.Review = &record.Review{Who: text, Why: text}
	return t
}

func TestHostileTextStaysText(t *testing.T) {
	for name, text := range map[string]string{"attack": attack, "long": strings.Repeat("a", 1<<20), "invisible": strings.Repeat("\u200b\u202e", 1<<18), "broken": strings.Repeat("\xf0\x9f", 1<<18), "spaces": strings.Repeat(" ", 1<<20),
		"words": strings.Repeat("a b ", 1<<18), "lines": strings.Repeat("\n", 1<<20)} {
		tr := agentTrace(1)
		tr.Outcome = record.Held
		src := newSource(hostile(tr, text))
		src.stats.Store = text
		src.stats.Models[0].Name, src.stats.Models[0].About, src.stats.Gates[0].Monitor, src.stats.Gates[0].About = text, text, text, text
		h := newPage(t, src)
		for _, path := range []string{"/", "/held", "/load", "/traces/tr_000001"} {
			for _, as := range []string{"reviewer", "operator"} {
				w := get(h, as, path)
				if w.Code != http.StatusOK || w.Body.Len() > 4<<20 {
					t.Errorf("%s, %s: status %d, %d bytes", name, path, w.Code, w.Body.Len())
				}
				body := w.Body.String()
				for _, bad := range []string{"<script>w", "<img", "\x1b", "\u202e", "\u200b", "\ufeff", "\x00", "\xff", "\u2028", "onerror=\"", "href=\"javascript"} {
					if strings.Contains(body, bad) {
						t.Errorf("%s, %s as %s: the page has %q", name, path, as, bad)
					}
				}
				parse(t, body)
			}
		}
		if got := get(h, "reviewer", "/traces/tr_000001/text/answer").Body.String(); got != text {
			t.Errorf("%s: the download has %d bytes, not the %d of the text", name, len(got), len(text))
		}
	}
}

// Whatever is asked for, there is an answer that is no fault of the page, and a page is HTML.
func FuzzRequest(f *testing.F) {
	for _, path := range []string{"/", "/?before=9223372036854775807", "/?outcome=held&text=%00", "/traces/%2e%2e", "/traces/tr_000001/text/stages/0/calls/0/0", "/held?done=x&id=%ff", "/login?next=//x", "//", "/traces/a%2fb"} {
		f.Add(path)
	}
	h := newPage(f, newSource(exampleTrace(1, record.Held), agentTrace(2)))
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || strings.HasPrefix(u.Path, "/events") {
			return
		}
		w := ask(h, "reviewer", &http.Request{Method: "GET", URL: u, Host: "localhost", Header: http.Header{}, Body: http.NoBody})
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("%q: status %d: %s", path, w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") == "text/html; charset=utf-8" && w.Code != http.StatusTemporaryRedirect && w.Code != http.StatusSeeOther && w.Code != http.StatusMovedPermanently {
			parse(t, w.Body.String())
		}
	})
}
