package report

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"candor/internal/browser"
)

var (
	shots = flag.String("shots", "", "folder to write screenshots to")
	shot  = flag.String("shot-of", "", "run folder to take the screenshots of, instead of the examples")
)

const (
	positionText = "document.getElementById('position').textContent"
	sampleText   = "document.getElementById('sample').innerText"
	headText     = "document.querySelector('.where').textContent"
)

// TestBrowser opens the page in a real browser, from a server that counts what is asked of it.
func TestBrowser(t *testing.T) {
	in := exampleInput()
	for i := range in.Samples { // every chain of the untrained arm attacks
		if in.Samples[i].Arm == "untrained" {
			in.Samples[i].Chain, in.Samples[i].Answer, in.Samples[i].Problem = hostile, hostile, hostile
		}
	}
	in.Decisions[0].Statement += " " + hostile
	in.Settings += hostile
	html := render(t, in)
	served := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, html)
	}))
	defer server.Close()

	b := browser.Open(t, server.URL)
	b.Look(1200, "light", "")
	b.Go("/")
	b.Contains(positionText, "1 of ")
	b.Want("typeof window.pwned", "undefined")

	t.Run("reader", func(t *testing.T) {
		b := b.In(t)
		first := b.Text(sampleText)
		b.Do("document.getElementById('reader').scrollIntoView()")
		b.Keys(kb.ArrowRight)
		b.Contains(positionText, "2 of ")
		if b.Text(sampleText) == first {
			t.Error("the second sample is the first")
		}
		b.Keys(kb.ArrowLeft, kb.ArrowLeft)
		b.Contains(positionText, "1 of ")
		b.Want(sampleText, first)
		b.Click("#next")
		b.Contains(positionText, "2 of ")

		if got := b.Text("[...document.querySelectorAll('.card h3')].map(e => e.textContent).join('|')"); !strings.HasPrefix(got, "large-direct direct|small-rl its own chain|early-answer/0.00") {
			t.Errorf("the cards are %s", got)
		}
	})
	t.Run("edits", func(t *testing.T) {
		b := b.In(t)
		choose(t, b, "intervention", "paraphrase")
		b.Want("[...document.querySelectorAll('.card h3')].length", "3")
		b.Want("[...new Set([...document.querySelectorAll('del')].slice(1).map(e => e.textContent))].sort().join()", "get,is")
		b.Want("[...new Set([...document.querySelectorAll('.card ins')].map(e => e.textContent))].sort().join()", "leaves,makes")
	})
	t.Run("filter", func(t *testing.T) {
		b := b.In(t)
		choose(t, b, "intervention", "")
		before := b.Text(positionText)
		choose(t, b, "outcome", "wrong")
		if b.Text(positionText) == before {
			t.Error("the filter kept everything")
		}
		b.Contains("document.querySelector('.card.own .said').textContent", "✗ wrong")
		choose(t, b, "outcome", "unparsed")
		choose(t, b, "arm", "small-direct")
		b.Contains(positionText, "No sample")
		b.Want("document.getElementById('next').disabled", "true")
	})
	t.Run("deep link", func(t *testing.T) {
		b := b.In(t)
		d := dataOf(t, html)
		var item *dataItem
		for _, i := range d.Items {
			if d.Arms[i.Arm] == "large-decorative" && i.Seed == 2 && len(i.Edits) > 3 {
				item = i
			}
		}
		b.Do(fmt.Sprintf("location.hash = '#reader?' + new URLSearchParams({arm: 'large-decorative', id: %q, seed: 2})", item.ID))
		b.Contains(headText, "large-decorative · seed 2 · chain · test · problem "+item.ID)
		b.Do("location.hash = '#reader?claim=load-bearing'")
		b.Contains(headText, "small-rl · ")
		b.Want("document.getElementById('filters').elements.claim.value", "load-bearing")
		// A link opened cold does the same, and comes back from the state that the reader wrote itself.
		link := b.Text("location.href")
		b.Keys(kb.ArrowRight)
		b.Run(chromedp.Navigate("about:blank"), chromedp.Navigate(link))
		b.Contains(positionText, "1 of ")
		b.Want("document.getElementById('filters').elements.claim.value", "load-bearing")
		served--
	})
	t.Run("hostile", func(t *testing.T) {
		b := b.In(t)
		b.Do("location.hash = '#reader?arm=untrained'")
		b.Contains(headText, "untrained")
		b.Contains(sampleText, "<script>window.pwned=1</script>")
		b.Contains(sampleText, "⟨U+202E⟩evil")
		b.Want("typeof window.pwned", "undefined")
		b.Want("document.querySelectorAll('main script, main img').length", "0")
		b.RefusesScript()
	})
	t.Run("width", func(t *testing.T) {
		b := b.In(t)
		b.Do("document.querySelectorAll('details').forEach(d => d.open = true)")
		papers := map[string]bool{}
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int{1200, 700, 360, 320} {
				b.Look(width, scheme, "")
				for _, arm := range []string{"small-rl", "untrained"} {
					b.Do("location.hash = '#reader?arm=" + arm + "'")
					b.Contains(headText, arm)
					b.Want("document.documentElement.scrollWidth <= innerWidth", "true")
					if t.Failed() {
						t.Fatalf("at %d pixels, %s: %s", width, scheme, b.Outside("body *"))
					}
				}
			}
			papers[b.Text("getComputedStyle(document.body).backgroundColor")] = true
		}
		if len(papers) != 2 {
			t.Errorf("light and dark have the same paper: %v", papers)
		}
	})
	b.Clean()
	if served != 1 {
		t.Errorf("the page came in %d requests, want 1", served)
	}
}

// servePages gives pages to a browser, each by its path, and returns the server's address.
func servePages(t *testing.T, pages map[string]string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, pages[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// choose sets a filter of the reader.
func choose(t *testing.T, b *browser.Tab, name, value string) {
	t.Helper()
	b.Do(fmt.Sprintf(`(() => { const s = document.getElementById("filters").elements[%q]; s.value = %q; s.dispatchEvent(new Event("change", {bubbles: true})); })()`, name, value))
}

// TestShots writes pictures for people to look at; it runs only when asked to, and fails when the page cannot be drawn.
func TestShots(t *testing.T) {
	if *shots == "" {
		return
	}
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		t.Fatal(err)
	}
	inputs := map[string]Input{"": exampleInput(), "honesty-": honestyInput(), "calibration-": matrixInput()}
	if *shot != "" {
		in, err := Load(*shot)
		if err != nil {
			t.Fatal(err)
		}
		inputs = map[string]Input{"": in}
	}
	b := browser.Open(t, "file://")
	for name, in := range inputs {
		shoot(t, b, *shots+string(filepath.Separator)+name, render(t, in))
	}
}

// shoot takes pictures of a page and of the sections of a study of honesty; their names begin with prefix.
func shoot(t *testing.T, b *browser.Tab, prefix, html string) {
	if err := os.WriteFile(prefix+"report.html", []byte(html), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int{1200, 360, 800} { // 800 is paper
			b.Look(width, scheme, "")
			b.Go(prefix + "report.html")
			b.Contains(positionText, "1 of ")
			b.Do("document.querySelectorAll('.claim details').forEach((d, i) => d.open = i == 0)")
			b.Do("document.querySelectorAll('details.decoded').forEach((d, i) => d.open = i == 2 || i == 3)")
			if width == 800 {
				b.Look(width, "light", "print")
			}
			b.Shot(fmt.Sprintf("%s%s-%d.png", prefix, scheme, width), "")
			for _, id := range []string{"matrix", "hiding", "leak", "dose", "decoded"} {
				if b.Text("!!document.getElementById('"+id+"')") == "true" {
					b.Shot(fmt.Sprintf("%s%s-%s-%d.png", prefix, id, scheme, width), "#"+id)
				}
			}
		}
	}
}
