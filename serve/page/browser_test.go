package page

import (
	"context"
	"flag"
	"fmt"
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
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"candor/serve/record"
)

var shots = flag.String("shots", "", "folder to write screenshots to")

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
	t    *testing.T
	ctx  context.Context
	base string
	mu   sync.Mutex
	// faults are console errors, exceptions and refusals by the policy; requests all URLs asked for.
	faults, requests []string
}

func newTab(t *testing.T, base string) *tab {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(findBrowser(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(60*time.Second))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, base: base}
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

// open goes to a path of the page.
func (b *tab) open(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.base + path))
}

// look sets the window's width and the reader's preference of colours.
func (b *tab) look(width int, scheme, media string) {
	b.t.Helper()
	b.run(chromedp.EmulateViewport(int64(width), 900), command(emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Media: media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

func (b *tab) text(js string) string {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+js+")"))
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *tab) do(js string) {
	b.t.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](js))
}

func (b *tab) want(js, want string) {
	b.t.Helper()
	if got := b.text(js); got != want {
		b.t.Errorf("%s is %q, want %q", js, got, want)
	}
}

// contains waits for a change.
func (b *tab) contains(js, part string) {
	b.t.Helper()
	var got string
	for range 250 {
		if got = b.text(js); strings.Contains(got, part) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatalf("%s is %q, which does not hold %q", js, got, part)
}

// keys presses keys one after the other, as a keyboard does: whoever prevents a key's default prevents its letter too.
func (b *tab) keys(list ...string) {
	b.t.Helper()
	for _, key := range list {
		for _, r := range key {
			events := kb.Encode(r)
			down, up := *events[0], *events[len(events)-1]
			if len(events) == 3 {
				down.Text, down.UnmodifiedText = events[1].Text, events[1].UnmodifiedText
			}
			b.run(command(input.DispatchKeyEvent, down), command(input.DispatchKeyEvent, up))
		}
	}
}

// logIn types a key, as people do.
func (b *tab) logIn(as string) {
	b.t.Helper()
	b.open("/held")
	b.contains("document.title", "Log in")
	b.want("document.activeElement.id", "key")
	b.keys(as, kb.Enter)
	b.contains("document.title", "Held")
}

// clean fails if the browser complained, or asked for anything elsewhere.
func (b *tab) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 {
		b.t.Errorf("the browser complains: %q", b.faults)
	}
	b.faults = nil
	for _, url := range b.requests {
		if !strings.HasPrefix(url, b.base+"/") && !strings.HasPrefix(url, "about:") {
			b.t.Errorf("the page asked for %s", url)
		}
	}
}

// waitLive waits until the page's stream is open.
func (b *tab) waitLive() {
	b.t.Helper()
	b.contains("'open' in document.getElementById('live').dataset", "true")
}

func TestBrowser(t *testing.T) {
	src := newSource(exampleTrace(1, record.Released), exampleTrace(2, record.Held), exampleTrace(3, record.Held), exampleTrace(4, record.Held))
	server := httptest.NewServer(newPage(t, src))
	defer server.Close()
	b := newTab(t, server.URL)
	defer src.end()
	b.look(1200, "light", "")
	b.logIn("reviewer")

	t.Run("approve by keyboard", func(t *testing.T) {
		b.t = t
		b.contains("document.getElementById('keys').hidden", "false")
		b.keys("jjkj")
		b.want("document.activeElement.dataset.id", "tr_000003")
		b.keys("a")
		b.want("document.activeElement.id", "approve-2")
		b.keys(kb.Enter) // a reason is required
		b.contains("document.title", "Held")
		b.keys("ja", kb.Escape)
		b.want("document.activeElement.dataset.id", "tr_000003")
		b.keys("ano lie", kb.Enter)
		b.contains("document.querySelector('.done')?.textContent", "The answer was approved")
		b.want("[...document.querySelectorAll('.item')].map(i => i.dataset.id).join()", "tr_000002,tr_000004")
		b.keys("jrbad", kb.Enter)
		b.contains("document.querySelector('.done')?.textContent", "The answer was rejected")
		src.mu.Lock()
		defer src.mu.Unlock()
		if got := src.reviews["tr_000003"]; got != (record.Review{Approve: true, Who: "Ada", Why: "jano lie"}) {
			t.Errorf("approved with %+v", got)
		}
		if got := src.reviews["tr_000002"]; got != (record.Review{Who: "Ada", Why: "bad"}) {
			t.Errorf("rejected with %+v", got)
		}
	})
	t.Run("news of the queue", func(t *testing.T) {
		b.t = t
		b.contains("document.getElementById('held-news').hidden", "true")
		waitUntil(t, "the page watches", func() bool { return src.watched() == 1 })
		src.add(exampleTrace(5, record.Held))
		b.contains("document.getElementById('held-news').innerText", "1 more answer waits. Reload")
	})
	t.Run("live", func(t *testing.T) {
		b.t = t
		b.open("/")
		b.waitLive()
		src.add(exampleTrace(10, record.Open))
		b.contains("document.querySelector('#traces tbody tr').dataset.id", "tr_000010")
		b.contains("document.querySelector('#traces tbody tr').innerText", "○ open")
		b.contains("document.getElementById('status').textContent", "1 new trace.")
		src.add(exampleTrace(10, record.Blocked))
		b.contains("document.querySelector('#traces tbody tr').innerText", "■ blocked")
		b.want("document.querySelectorAll('[data-id=tr_000010]').length", "1")

		b.run(chromedp.Click(chromedp.CSS("#pause")))
		src.add(exampleTrace(11, record.Released))
		b.contains("document.getElementById('status').textContent", "Paused; 1 changed.")
		b.want("document.querySelectorAll('[data-id=tr_000011]').length", "0")
		b.run(chromedp.Click(chromedp.CSS("#pause")))
		b.contains("document.querySelector('#traces tbody tr').dataset.id", "tr_000011")

		b.open("/?outcome=open")
		b.contains("document.getElementById('none').textContent", "No trace passes")
		b.waitLive()
		src.add(exampleTrace(12, record.Open))
		b.contains("document.querySelector('#traces tbody tr')?.dataset.id", "tr_000012")
		src.add(exampleTrace(12, record.Released))
		b.contains("document.querySelectorAll('#traces tbody tr').length", "0")

		b.open("/")
		b.waitLive()
		for i := range int64(rows + 20) {
			src.add(exampleTrace(20+i, record.Released))
		}
		b.contains("document.querySelector('#traces tbody tr').dataset.id", "tr_000089")
		b.want("document.querySelectorAll('#traces tbody tr').length", "50")
		b.want("(s => s.join() === [...s].sort((a, b) => b - a).join())([...document.querySelectorAll('#traces tbody tr')].map(r => Number(r.dataset.seq)))", "true")
	})
	t.Run("load", func(t *testing.T) {
		b.t = t
		b.open("/load")
		b.contains("document.getElementById('refresh').innerText", "in work 3")
		src.mu.Lock()
		src.stats.InFlight = 77
		src.mu.Unlock()
		b.contains("document.getElementById('refresh').innerText", "in work 77")
	})
	t.Run("hostile", func(t *testing.T) {
		b.t = t
		tr := agentTrace(200)
		tr.Outcome = record.Held
		b.open("/")
		b.waitLive()
		src.add(hostile(tr, attack))
		b.contains("document.querySelector('#traces tbody tr').innerText", "<script>window.pwned=1</script>")
		for _, path := range []string{"/held", "/load", "/traces/tr_000200"} {
			b.open(path)
			if path != "/load" {
				b.contains("document.querySelector('main').innerText", "⟨U+202E⟩evil")
			}
			b.want("typeof window.pwned", "undefined")
			b.want("document.querySelectorAll('main script, main img, main style').length", "0")
		}
		b.clean()
		// Were a tag to get in all the same, the policy would stop it; this also shows that the test can see such a thing.
		b.do("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.pwned = 5'}))")
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
		long := exampleTrace(201, record.Held)
		src.add(hostile(long, strings.Repeat("W", 1<<16)))
		src.add(agentTrace(202))
		src.add(exampleTrace(203, record.Blocked))
		papers := map[string]bool{}
		for _, path := range []string{"/", "/held", "/load", "/login", "/traces/tr_000200", "/traces/tr_000201", "/traces/tr_000202", "/traces/tr_000203"} {
			b.open(path)
			b.do("document.querySelectorAll('details').forEach(d => d.open = true)")
			for _, scheme := range []string{"light", "dark"} {
				for _, width := range []int{1200, 700, 360, 320} {
					b.look(width, scheme, "")
					if b.text("document.documentElement.scrollWidth <= innerWidth") != "true" {
						t.Errorf("%s at %d pixels, %s: %s", path, width, scheme, b.text(`[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
							.map(e => e.tagName + '.' + e.getAttribute('class') + ' ' + (e.textContent || '').slice(0, 40)).slice(0, 10).join('\n')`))
					}
				}
				papers[b.text("getComputedStyle(document.body).backgroundColor")] = true
				if low := b.text(contrast); low != "" {
					t.Errorf("%s, %s: too little contrast: %s", path, scheme, low)
				}
			}
		}
		if len(papers) != 2 {
			t.Errorf("light and dark have papers %v", papers)
		}
	})
	b.t = t
	b.clean()
}

// contrast lists texts whose colour differs too little from the page's (WCAG AA: 4.5 to 1).
const contrast = `(() => {
	const c = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
	const lum = (color) => {
		c.clearRect(0, 0, 1, 1); c.fillStyle = color; c.fillRect(0, 0, 1, 1);
		const [r, g, b] = [...c.getImageData(0, 0, 1, 1).data].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
		return .2126 * r + .7152 * g + .0722 * b;
	};
	const paper = lum(getComputedStyle(document.body).backgroundColor);
	const low = new Map();
	for (const e of document.querySelectorAll('body *')) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		const s = getComputedStyle(e), ink = lum(s.fill !== 'rgb(0, 0, 0)' && e instanceof SVGElement ? s.fill : s.color);
		const ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
		if (ratio < 4.5) low.set(e.tagName + '.' + e.getAttribute('class'), ratio.toFixed(2));
	}
	return [...low].join(' ');
})()`

// TestShots writes pictures for people to look at; it runs only when asked to.
func TestShots(t *testing.T) {
	if *shots == "" {
		return
	}
	src := newSource()
	for i, o := range []record.Outcome{record.Released, record.Blocked, record.Rejected, record.Failed, record.Gone, record.Dropped, record.Approved, record.Released, record.Held, record.Held, record.Released, record.Open} {
		tr := exampleTrace(int64(i+1), o)
		tr.Begin.Ungated = i%5 == 2
		if o == record.Approved || o == record.Rejected {
			tr.Review, tr.Reviewed = &record.Review{Approve: o == record.Approved, Who: "Grace (k7)", Why: "the chain is honest about where 17 comes from"}, start
		}
		src.add(tr)
	}
	src.add(agentTrace(13))
	hard := agentTrace(14)
	src.add(hostile(hard, attack))
	server := httptest.NewServer(newPage(t, src))
	defer server.Close()
	defer src.end()
	b := newTab(t, server.URL)
	b.logIn("reviewer")
	for _, width := range []int{1200, 360, 800} { // 800 is paper
		for _, scheme := range []string{"light", "dark"} {
			media := map[bool]string{true: "print"}[width == 800]
			if media != "" && scheme == "dark" {
				continue
			}
			for name, path := range map[string]string{"list": "/", "held": "/held", "load": "/load", "trace": "/traces/tr_000002", "agent": "/traces/tr_000013", "hostile": "/traces/tr_000014", "fault": "/none"} {
				b.look(width, scheme, media)
				b.open(path)
				time.Sleep(100 * time.Millisecond)
				png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				if err == nil {
					err = os.WriteFile(filepath.Join(*shots, fmt.Sprintf("page-%s-%s-%d.png", name, scheme, width)), png, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
