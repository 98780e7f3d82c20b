package report

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var (
	shots = flag.String("shots", "", "folder to write screenshots to")
	shot  = flag.String("shot-of", "", "run folder to take the screenshots of, instead of the examples")
)

// findBrowser returns a Chromium, or ends the test: as a failure in continuous integration (CI is set), else as skipped.
func findBrowser(t *testing.T) string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("no chromium, chromium-browser or google-chrome in PATH; install one (Debian: chromium)")
	}
	t.Skip("no browser on this machine")
	return ""
}

// tab is a page in a real browser that notes everything it should not do.
type tab struct {
	t   *testing.T
	ctx context.Context
	mu  sync.Mutex
	// faults are console errors, exceptions and refusals by the policy; requests all URLs asked for.
	faults, requests []string
}

func newTab(t *testing.T) *tab {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(findBrowser(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(60*time.Second))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t}
	err := chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.faults = append(b.faults, e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			b.faults = append(b.faults, fmt.Sprint("console ", e.Type))
		case *log.EventEntryAdded:
			b.faults = append(b.faults, e.Entry.Text)
		case *network.EventRequestWillBeSent:
			b.requests = append(b.requests, e.Request.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.ctx, cancel = context.WithTimeout(ctx, 90*time.Second) // only now: the browser lives as long as the context it starts with
	t.Cleanup(cancel)
	b.run(command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}))
	return b
}

// command makes an action of a command of the browser's protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// look sets the window's width and the reader's preference of colours.
func (b *tab) look(width int, scheme string) {
	b.t.Helper()
	b.run(chromedp.EmulateViewport(int64(width), 900),
		command(emulation.SetEmulatedMedia,
			emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

func (b *tab) text(js string) string {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+js+")"))
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// do runs a script for its effect.
func do(js string) chromedp.Action[chromedp.Void] { return chromedp.Evaluate[chromedp.Void](js) }

func (b *tab) want(js, want string) {
	b.t.Helper()
	if got := b.text(js); got != want {
		b.t.Errorf("%s is %q, want %q", js, got, want)
	}
}

// contains waits for a change that a navigation brings about.
func (b *tab) contains(js, part string) {
	b.t.Helper()
	var got string
	for range 50 {
		if got = b.text(js); strings.Contains(got, part) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Errorf("%s is %q, which does not hold %q", js, got, part)
}

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

	b := newTab(t)
	b.look(1200, "light")
	b.run(chromedp.Navigate(server.URL))
	b.contains(positionText, "1 of ")
	b.want("typeof window.pwned", "undefined")

	t.Run("reader", func(t *testing.T) {
		b.t = t
		first := b.text(sampleText)
		b.run(do("document.getElementById('reader').scrollIntoView()"), chromedp.KeyEvent(kb.ArrowRight))
		b.contains(positionText, "2 of ")
		if b.text(sampleText) == first {
			t.Error("the second sample is the first")
		}
		b.run(chromedp.KeyEvent(kb.ArrowLeft), chromedp.KeyEvent(kb.ArrowLeft))
		b.contains(positionText, "1 of ")
		b.want(sampleText, first)
		b.run(chromedp.Click(chromedp.CSS("#next")))
		b.contains(positionText, "2 of ")

		if got := b.text("[...document.querySelectorAll('.card h3')].map(e => e.textContent).join('|')"); !strings.HasPrefix(got, "large-direct direct|small-rl its own chain|early-answer/0.00") {
			t.Errorf("the cards are %s", got)
		}
	})
	t.Run("edits", func(t *testing.T) {
		b.t = t
		choose(b, "intervention", "paraphrase")
		b.want("[...document.querySelectorAll('.card h3')].length", "3")
		b.want("[...new Set([...document.querySelectorAll('del')].slice(1).map(e => e.textContent))].sort().join()", "get,is")
		b.want("[...new Set([...document.querySelectorAll('.card ins')].map(e => e.textContent))].sort().join()", "leaves,makes")
	})
	t.Run("filter", func(t *testing.T) {
		b.t = t
		choose(b, "intervention", "")
		before := b.text(positionText)
		choose(b, "outcome", "wrong")
		if b.text(positionText) == before {
			t.Error("the filter kept everything")
		}
		b.contains("document.querySelector('.card.own .said').textContent", "✗ wrong")
		choose(b, "outcome", "unparsed")
		choose(b, "arm", "small-direct")
		b.contains(positionText, "No sample")
		b.want("document.getElementById('next').disabled", "true")
	})
	t.Run("deep link", func(t *testing.T) {
		b.t = t
		d := dataOf(t, html)
		var item *dataItem
		for _, i := range d.Items {
			if d.Arms[i.Arm] == "large-decorative" && i.Seed == 2 && len(i.Edits) > 3 {
				item = i
			}
		}
		b.run(do(fmt.Sprintf("location.hash = '#reader?' + new URLSearchParams({arm: 'large-decorative', id: %q, seed: 2})", item.ID)))
		b.contains(headText, "large-decorative · seed 2 · chain · test · problem "+item.ID)
		b.run(do("location.hash = '#reader?claim=load-bearing'"))
		b.contains(headText, "small-rl · ")
		b.want("document.getElementById('filters').elements.claim.value", "load-bearing")
		// A link opened cold does the same, and comes back from the state that the reader wrote itself.
		link := b.text("location.href")
		b.run(chromedp.KeyEvent(kb.ArrowRight), chromedp.Navigate("about:blank"), chromedp.Navigate(link))
		b.contains(positionText, "1 of ")
		b.want("document.getElementById('filters').elements.claim.value", "load-bearing")
		served--
	})
	t.Run("hostile", func(t *testing.T) {
		b.t = t
		b.run(do("location.hash = '#reader?arm=untrained'"))
		b.contains(headText, "untrained")
		b.contains(sampleText, "<script>window.pwned=1</script>")
		b.contains(sampleText, "⟨U+202E⟩evil")
		b.want("typeof window.pwned", "undefined")
		b.want("document.querySelectorAll('main script, main img').length", "0")
		// Were a tag to get in all the same, the policy would stop it; this also shows that the test can see such a thing.
		b.run(do("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.pwned = 5'}))"))
		b.want("typeof window.pwned", "undefined")
		b.mu.Lock()
		if len(b.faults) != 1 || !strings.Contains(b.faults[0], "Content Security Policy") {
			t.Errorf("faults %q, want just the refusal of the test's own script", b.faults)
		}
		b.faults = nil
		b.mu.Unlock()
	})
	t.Run("width", func(t *testing.T) {
		b.t = t
		b.run(do("document.querySelectorAll('details').forEach(d => d.open = true)"))
		papers := map[string]bool{}
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int{1200, 700, 360, 320} {
				b.look(width, scheme)
				for _, arm := range []string{"small-rl", "untrained"} {
					b.run(do("location.hash = '#reader?arm=" + arm + "'"))
					b.contains(headText, arm)
					b.want("document.documentElement.scrollWidth <= innerWidth", "true")
					if t.Failed() {
						t.Fatalf("at %d pixels, %s: %s", width, scheme, b.text(`[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
							.map(e => e.tagName + '.' + e.getAttribute('class') + ' ' + (e.textContent || '').slice(0, 40)).slice(0, 10).join('\n')`))
					}
				}
			}
			papers[b.text("getComputedStyle(document.body).backgroundColor")] = true
		}
		if len(papers) != 2 {
			t.Errorf("light and dark have the same paper: %v", papers)
		}
	})
	b.t = t
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 {
		t.Errorf("the browser complains: %q", b.faults)
	}
	for _, url := range b.requests {
		if !strings.HasPrefix(url, server.URL+"/") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "about:") {
			t.Errorf("the page asked for %s", url)
		}
	}
	if served != 1 {
		t.Errorf("the page came in %d requests, want 1", served)
	}
}

func choose(b *tab, name, value string) {
	b.t.Helper()
	b.run(do(fmt.Sprintf(`(() => { const s = document.getElementById("filters").elements[%q]; s.value = %q; s.dispatchEvent(new Event("change", {bubbles: true})); })()`, name, value)))
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
	b := newTab(t)
	for name, in := range inputs {
		shoot(b, *shots+string(filepath.Separator)+name, render(t, in))
	}
}

// shoot takes pictures of a page and of the sections of a study of honesty; their names begin with prefix.
func shoot(b *tab, prefix, html string) {
	save := func(name string, data []byte, err error) {
		if err == nil {
			err = os.WriteFile(prefix+name, data, 0o644)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	save("report.html", []byte(html), nil)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int{1200, 360, 800} { // 800 is paper
			b.look(width, scheme)
			b.run(chromedp.Navigate("file://" + prefix + "report.html"))
			b.contains(positionText, "1 of ")
			b.run(do("document.querySelectorAll('.claim details').forEach((d, i) => d.open = i == 0)"),
				do("document.querySelectorAll('details.decoded').forEach((d, i) => d.open = i == 2 || i == 3)"))
			if width == 800 {
				b.run(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}))
			}
			png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			save(fmt.Sprintf("%s-%d.png", scheme, width), png, err)
			for _, id := range []string{"matrix", "hiding", "leak", "dose", "decoded"} {
				if b.text("!!document.getElementById('"+id+"')") == "true" {
					png, err := chromedp.Run(b.ctx, chromedp.Screenshot(chromedp.CSS("#"+id)))
					save(fmt.Sprintf("%s-%s-%d.png", id, scheme, width), png, err)
				}
			}
		}
	}
}
