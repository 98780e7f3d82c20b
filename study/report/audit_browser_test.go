package report

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestAuditBrowser opens pages of audits, one of them hostile, in a real browser, and reads samples by the keyboard alone.
func TestAuditBrowser(t *testing.T) {
	b := newTab(t)
	serve := func(a Audit) string {
		html := renderAudit(t, a)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, html)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	plain := serve(exampleAudit())

	t.Run("keyboard", func(t *testing.T) {
		b.t = t
		b.look(1200, "light")
		b.run(chromedp.Navigate(plain))
		b.contains(positionText, "1 of 80")
		b.run(do("document.querySelector('#filters select[name=outcome]').focus()"), chromedp.KeyEvent("c")) // the first that begins with c
		b.contains(positionText, "1 of ")
		b.want("document.getElementById('filters').elements.outcome.value", "unnamed")
		b.contains(sampleText, "The hint was used, and the chain does not name it.")
		b.want("location.hash.startsWith('#reader?outcome=unnamed&id=choices')", "true")
		first := b.text(sampleText)
		b.run(do("document.querySelector('#list [aria-current]').focus()"), chromedp.KeyEvent(kb.ArrowDown))
		b.contains(positionText, "2 of ")
		b.want("document.activeElement === document.querySelectorAll('#list button')[1]", "true")
		if b.text(sampleText) == first {
			t.Error("the second sample is the first")
		}
		b.run(chromedp.KeyEvent(kb.ArrowUp), chromedp.KeyEvent(kb.ArrowUp))
		b.contains(positionText, "1 of ")
		b.run(do("document.activeElement.blur(); document.getElementById('reader').scrollIntoView()"), chromedp.KeyEvent(kb.ArrowRight))
		b.contains(positionText, "2 of ")
		b.run(do("document.getElementById('filters').elements.kind.focus()"), chromedp.KeyEvent("sum"))
		b.contains(positionText, "No sample")
		b.want("document.getElementById('next').disabled", "true")
	})
	t.Run("numbers", func(t *testing.T) {
		b.t = t
		const sorted = "(() => { const v = [...document.querySelectorAll('#list .value')].map(e => Number(e.textContent)); return v.length > 3 && v.every((x, i) => i === 0 || %s) })()"
		b.run(chromedp.Click(chromedp.CSS("a[href='#reader?measure=mistake']")))
		b.contains("document.getElementById('filters').elements.measure.value", "mistake")
		b.want("document.getElementById('filters').elements.outcome.value", "")
		b.want(fmt.Sprintf(sorted, "v[i - 1] >= x"), "true")
		b.contains("document.querySelector('.sought').textContent", "test/mistake▲ flagged: 0.75 or more1")
		choose(b, "order", "up")
		b.want(fmt.Sprintf(sorted, "v[i - 1] <= x"), "true")
		b.run(chromedp.Click(chromedp.CSS("a[href='#reader?flagged=mistake']")))
		b.contains("document.getElementById('filters').elements.flagged.value", "mistake")
		b.want("[...document.querySelectorAll('#list .value')].every(e => Number(e.textContent) >= .75)", "true")
		b.run(do("location.hash = '#reader?measure=hint%2Fmetadata%2Fused'"))
		b.contains("document.getElementById('filters').elements.measure.value", "hint/metadata/used")
		b.want("[...document.querySelectorAll('#list .id')].every(e => e.textContent.endsWith('/metadata'))", "true")
		choose(b, "measure", "")
		choose(b, "outcome", "failed")
		b.contains(sampleText, "! failed: the endpoint answered 503")
		b.run(do("location.hash = '#reader?measure=no-such&id=steps%2F0007'"))
		b.contains("document.querySelector('.where').textContent", "steps/0007")
	})
	t.Run("width", func(t *testing.T) {
		b.t = t
		for _, url := range []string{plain, serve(summaryAudit()), serve(hostileAudit(hostile)), serve(hostileAudit(strings.Repeat("endless", 60)))} {
			b.run(chromedp.Navigate(url))
			b.contains(positionText, "1 of ")
			b.run(do("document.querySelectorAll('details').forEach(d => d.open = true)"))
			for _, scheme := range []string{"light", "dark"} {
				for _, width := range []int{1200, 700, 360, 320} {
					b.look(width, scheme)
					b.want("document.documentElement.scrollWidth <= innerWidth", "true")
					b.want(`[...document.querySelectorAll('main *, header *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)
						.filter(e => !e.closest('.skip, .scroll *')).map(e => e.tagName + '.' + e.getAttribute('class') + ' ' + (e.textContent || '').slice(0, 40)).slice(0, 10).join('|')`, "")
					if t.Failed() {
						t.Fatalf("at %d pixels, %s", width, scheme)
					}
				}
			}
			b.want("typeof window.pwned", "undefined")
			b.want("document.querySelectorAll('main script, main img').length", "0")
		}
	})
	b.t = t
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 {
		t.Errorf("the browser complains: %q", b.faults)
	}
	for _, url := range b.requests {
		if !strings.HasPrefix(url, "http://127.0.0.1:") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "about:") {
			t.Errorf("the page asked for %s", url)
		}
	}
}

// TestAuditShots writes pictures for people to look at; it runs only when asked to.
func TestAuditShots(t *testing.T) {
	if *shots == "" {
		return
	}
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		t.Fatal(err)
	}
	b := newTab(t)
	for name, a := range map[string]Audit{"audit": exampleAudit(), "audit-summary": summaryAudit()} {
		prefix := filepath.Join(*shots, name)
		if err := os.WriteFile(prefix+".html", []byte(renderAudit(t, a)), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int{1200, 360, 800} { // 800 is paper
				b.look(width, scheme)
				b.run(chromedp.Navigate("about:blank"), chromedp.Navigate("file://"+prefix+".html#reader?measure=cue-unmentioned&id=choices%2F0075%2Fmetadata"))
				b.contains(positionText, " of ")
				if width == 800 {
					b.run(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}))
				}
				png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				if err == nil {
					err = os.WriteFile(fmt.Sprintf("%s-%s-%d.png", prefix, scheme, width), png, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
