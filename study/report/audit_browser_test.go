package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"candor/internal/browser"
)

// TestAuditBrowser opens pages of audits, one of them hostile, in a real browser, and reads samples by the keyboard alone.
func TestAuditBrowser(t *testing.T) {
	b := browser.Open(t, servePages(t, map[string]string{
		"/plain":   renderAudit(t, exampleAudit()),
		"/summary": renderAudit(t, summaryAudit()),
		"/hostile": renderAudit(t, hostileAudit(hostile)),
		"/endless": renderAudit(t, hostileAudit(strings.Repeat("endless", 60))),
	}))

	t.Run("keyboard", func(t *testing.T) {
		b := b.In(t)
		b.Look(1200, "light", "")
		b.Go("/plain")
		b.Contains(positionText, "1 of 80")
		b.Do("document.querySelector('#filters select[name=outcome]').focus()")
		b.Keys("c") // the first that begins with c
		b.Contains(positionText, "1 of ")
		b.Want("document.getElementById('filters').elements.outcome.value", "unnamed")
		b.Contains(sampleText, "The hint was used, and the chain does not name it.")
		b.Want("location.hash.startsWith('#reader?outcome=unnamed&id=choices')", "true")
		first := b.Text(sampleText)
		b.Do("document.querySelector('#list [aria-current]').focus()")
		b.Keys(kb.ArrowDown)
		b.Contains(positionText, "2 of ")
		b.Want("document.activeElement === document.querySelectorAll('#list button')[1]", "true")
		if b.Text(sampleText) == first {
			t.Error("the second sample is the first")
		}
		b.Keys(kb.ArrowUp, kb.ArrowUp)
		b.Contains(positionText, "1 of ")
		b.Do("document.activeElement.blur(); document.getElementById('reader').scrollIntoView()")
		b.Keys(kb.ArrowRight)
		b.Contains(positionText, "2 of ")
		b.Do("document.getElementById('filters').elements.kind.focus()")
		b.Keys("sum")
		b.Contains(positionText, "No sample")
		b.Want("document.getElementById('next').disabled", "true")
	})
	t.Run("numbers", func(t *testing.T) {
		b := b.In(t)
		const sorted = "(() => { const v = [...document.querySelectorAll('#list .value')].map(e => Number(e.textContent)); return v.length > 3 && v.every((x, i) => i === 0 || %s) })()"
		b.Click("a[href='#reader?measure=mistake']")
		b.Contains("document.getElementById('filters').elements.measure.value", "mistake")
		b.Want("document.getElementById('filters').elements.outcome.value", "")
		b.Want(fmt.Sprintf(sorted, "v[i - 1] >= x"), "true")
		b.Contains("document.querySelector('.sought').textContent", "test/mistake▲ flagged: 0.75 or more1")
		choose(t, b, "order", "up")
		b.Want(fmt.Sprintf(sorted, "v[i - 1] <= x"), "true")
		b.Click("a[href='#reader?flagged=mistake']")
		b.Contains("document.getElementById('filters').elements.flagged.value", "mistake")
		b.Want("[...document.querySelectorAll('#list .value')].every(e => Number(e.textContent) >= .75)", "true")
		b.Do("location.hash = '#reader?measure=hint%2Fmetadata%2Fused'")
		b.Contains("document.getElementById('filters').elements.measure.value", "hint/metadata/used")
		b.Want("[...document.querySelectorAll('#list .id')].every(e => e.textContent.endsWith('/metadata'))", "true")
		choose(t, b, "measure", "")
		choose(t, b, "outcome", "failed")
		b.Contains(sampleText, "! failed: the endpoint answered 503")
		b.Do("location.hash = '#reader?measure=no-such&id=steps%2F0007'")
		b.Contains("document.querySelector('.where').textContent", "steps/0007")
	})
	t.Run("width", func(t *testing.T) {
		b := b.In(t)
		for _, path := range []string{"/plain", "/summary", "/hostile", "/endless"} {
			b.Go(path)
			b.Contains(positionText, "1 of ")
			b.Do("document.querySelectorAll('details').forEach(d => d.open = true)")
			for _, scheme := range []string{"light", "dark"} {
				for _, width := range []int{1200, 700, 360, 320} {
					b.Look(width, scheme, "")
					b.Want("document.documentElement.scrollWidth <= innerWidth", "true")
					if out := b.Outside("main :not(.skip, .skip *, .scroll *), header :not(.skip, .skip *, .scroll *)"); out != "" {
						t.Errorf("outside the window: %s", out)
					}
					if t.Failed() {
						t.Fatalf("%s at %d pixels, %s", path, width, scheme)
					}
				}
			}
			b.Want("typeof window.pwned", "undefined")
			b.Want("document.querySelectorAll('main script, main img').length", "0")
		}
	})
	b.Clean()
}

// TestAuditShots writes pictures for people to look at; it runs only when asked to.
func TestAuditShots(t *testing.T) {
	if *shots == "" {
		return
	}
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		t.Fatal(err)
	}
	b := browser.Open(t, "file://")
	for name, a := range map[string]Audit{"audit": exampleAudit(), "audit-summary": summaryAudit()} {
		prefix := filepath.Join(*shots, name)
		if err := os.WriteFile(prefix+".html", []byte(renderAudit(t, a)), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int{1200, 360, 800} { // 800 is paper
				b.Look(width, scheme, "")
				b.Run(chromedp.Navigate("about:blank")) // else only the hash would change
				b.Go(prefix + ".html#reader?measure=cue-unmentioned&id=choices%2F0075%2Fmetadata")
				b.Contains(positionText, " of ")
				if width == 800 {
					b.Look(width, "light", "print")
				}
				b.Shot(fmt.Sprintf("%s-%s-%d.png", prefix, scheme, width), "")
			}
		}
	}
}
