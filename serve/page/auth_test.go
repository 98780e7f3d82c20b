package page

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"candor/internal/rng"
	"candor/serve/auth"
	"candor/serve/record"
)

// The page behind the sessions that it is made for: log in, decide, log out.
func TestWithSessions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	_, key, err := auth.Add(t.Context(), file, auth.Key{Name: "Grace", Roles: auth.Reviewer, Created: time.Now()}, rng.Secret)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := auth.Open(auth.Options{File: file, Clock: time.Now, Secret: rng.Secret})
	if err != nil {
		t.Fatal(err)
	}
	src := newSource(exampleTrace(1, record.Held))
	h, err := New(Options{Source: src, Guard: keys.Guard(), Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	send := func(path string, form url.Values, header http.Header) (int, string) {
		t.Helper()
		r, err := http.NewRequest("POST", server.URL+path, strings.NewReader(form.Encode()))
		if form == nil {
			r, err = http.NewRequest("GET", server.URL+path, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, values := range header {
			r.Header[name] = values
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	if status, body := send("/held", nil, nil); status != http.StatusOK || strings.Contains(body, secretPrompt) || !strings.Contains(body, "<h1>Log in</h1>") {
		t.Fatalf("before the login: status %d, %s", status, body)
	}
	if status, body := send("/login", url.Values{"key": {"candor-wrong"}}, nil); status != http.StatusUnauthorized || !strings.Contains(body, "This key does not open the page") {
		t.Errorf("a wrong key: status %d, %s", status, body)
	}
	if status, _ := send("/login", url.Values{"key": {key}}, http.Header{"Sec-Fetch-Site": {"cross-site"}}); status != http.StatusForbidden {
		t.Errorf("a login by another site: status %d", status)
	}
	status, body := send("/login", url.Values{"key": {key}, "next": {"/held"}}, nil)
	if status != http.StatusOK || !strings.Contains(body, secretPrompt) || !strings.Contains(body, "Grace") {
		t.Fatalf("after the login: status %d, %s", status, body)
	}
	token := find(parse(t, body), "input", "name", "csrf")[0].attr["value"]
	form := url.Values{"decision": {"approve"}, "why": {"fine"}, "csrf": {token}}
	if status, _ := send("/traces/tr_000001/review", form, http.Header{"Origin": {"https://evil.example"}}); status != http.StatusForbidden || len(src.reviews) > 0 {
		t.Errorf("a decision by another site: status %d, %v", status, src.reviews)
	}
	if status, _ := send("/traces/tr_000001/review", url.Values{"decision": {"approve"}, "why": {"fine"}, "csrf": {"guess"}}, nil); status != http.StatusForbidden || len(src.reviews) > 0 {
		t.Errorf("a decision without the token: status %d, %v", status, src.reviews)
	}
	if status, body := send("/traces/tr_000001/review", form, nil); status != http.StatusOK || !strings.Contains(body, "The answer was approved") || !strings.HasPrefix(src.reviews["tr_000001"].Who, "Grace") {
		t.Errorf("a decision: status %d, %v", status, src.reviews)
	}
	if status, body := send("/logout", url.Values{"csrf": {token}}, nil); status != http.StatusOK || !strings.Contains(body, "<h1>Log in</h1>") {
		t.Errorf("a logout: status %d, %s", status, body)
	}
	if _, body := send("/held", nil, nil); !strings.Contains(body, "<h1>Log in</h1>") {
		t.Error("the session is open after its end")
	}
}
