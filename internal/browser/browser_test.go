package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

// A page that does what no page should is seen to do it; a helper that overlooked it would pass every page.
func TestFaultsAreSeen(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/strict" {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:; style-src 'unsafe-inline'")
		}
		fmt.Fprint(w, `<!doctype html><link rel=icon href="data:,"><title>page</title><p id=left style="position:absolute;left:-9px">left`+
			`<p id=right style="position:absolute;left:9999px">right<p class=fits>fits<input id=in>`)
	}))
	defer server.Close()
	b := Open(t, server.URL)
	b.Go("/strict")
	b.RefusesScript()
	b.Clean()

	b.Look(700, "dark", "print")
	b.Go("/")
	b.Want("innerWidth + ' ' + matchMedia('print').matches + ' ' + matchMedia('(prefers-color-scheme: dark)').matches", "700 true true")
	if got := b.Outside("p"); got != "P.null left\nP.null right" {
		t.Errorf("outside: %q", got)
	}
	if got := b.Outside("p:not(#left, #right)"); got != "" {
		t.Errorf("outside: %q", got)
	}
	b.Click("#in")
	b.Keys("aé", kb.ArrowLeft, "b")
	b.Contains("document.getElementById('in').value", "abé")
	b.Clean()

	other := httptest.NewServer(http.NotFoundHandler())
	other.Close()
	for js, want := range map[string]string{
		"console.log(1)": "console log",
		"setTimeout(() => { throw new Error('x') })": "Uncaught",
		"new Image().src = '" + other.URL + "/logo'": "ERR_CONNECTION_REFUSED",
	} {
		b.Do(js)
		var got []string
		for range 250 { // the browser says so when it comes to it
			if got = b.faults(); len(got) > 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("after %s the faults are %q, want one with %q", js, got, want)
		}
	}
	if got := b.elsewhere(); len(got) != 1 || got[0] != other.URL+"/logo" {
		t.Errorf("asked elsewhere for %q", got)
	}
}
