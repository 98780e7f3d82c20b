package page

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"candor/internal/browser"
	"candor/serve/record"
)

var shots = flag.String("shots", "", "folder to write screenshots to")

// logIn types a key, as people do.
func logIn(t *testing.T, b *browser.Tab, as string) {
	t.Helper()
	b.Go("/held")
	b.Contains("document.title", "Log in")
	b.Want("document.activeElement.id", "key")
	b.Keys(as, kb.Enter)
	b.Contains("document.title", "Held")
}

// waitLive waits until the page's stream is open.
func waitLive(t *testing.T, b *browser.Tab) {
	t.Helper()
	b.Contains("'open' in document.getElementById('live').dataset", "true")
}

func TestBrowser(t *testing.T) {
	src := newSource(exampleTrace(1, record.Released), exampleTrace(2, record.Held), exampleTrace(3, record.Held), exampleTrace(4, record.Held))
	server := httptest.NewServer(newPage(t, src))
	defer server.Close()
	b := browser.Open(t, server.URL)
	defer src.end()
	b.Look(1200, "light", "")
	logIn(t, b, "reviewer")

	t.Run("approve by keyboard", func(t *testing.T) {
		b := b.In(t)
		b.Contains("document.getElementById('keys').hidden", "false")
		b.Keys("jjkj")
		b.Want("document.activeElement.dataset.id", "tr_000003")
		b.Keys("a")
		b.Want("document.activeElement.id", "approve-2")
		b.Keys(kb.Enter) // a reason is required
		b.Contains("document.title", "Held")
		b.Keys("ja", kb.Escape)
		b.Want("document.activeElement.dataset.id", "tr_000003")
		b.Keys("ano lie", kb.Enter)
		b.Contains("document.querySelector('.done')?.textContent", "The answer was approved")
		b.Want("[...document.querySelectorAll('.item')].map(i => i.dataset.id).join()", "tr_000002,tr_000004")
		b.Keys("jrbad", kb.Enter)
		b.Contains("document.querySelector('.done')?.textContent", "The answer was rejected")
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
		b := b.In(t)
		b.Contains("document.getElementById('held-news').hidden", "true")
		waitUntil(t, "the page watches", func() bool { return src.watched() == 1 })
		src.add(exampleTrace(5, record.Held))
		b.Contains("document.getElementById('held-news').innerText", "1 more answer waits. Reload")
	})
	t.Run("live", func(t *testing.T) {
		b := b.In(t)
		b.Go("/")
		waitLive(t, b)
		src.add(exampleTrace(10, record.Open))
		b.Contains("document.querySelector('#traces tbody tr').dataset.id", "tr_000010")
		b.Contains("document.querySelector('#traces tbody tr').innerText", "○ open")
		b.Contains("document.getElementById('status').textContent", "1 new trace.")
		src.add(exampleTrace(10, record.Blocked))
		b.Contains("document.querySelector('#traces tbody tr').innerText", "■ blocked")
		b.Want("document.querySelectorAll('[data-id=tr_000010]').length", "1")

		b.Click("#pause")
		src.add(exampleTrace(11, record.Released))
		b.Contains("document.getElementById('status').textContent", "Paused; 1 changed.")
		b.Want("document.querySelectorAll('[data-id=tr_000011]').length", "0")
		b.Click("#pause")
		b.Contains("document.querySelector('#traces tbody tr').dataset.id", "tr_000011")

		b.Go("/?outcome=open")
		b.Contains("document.getElementById('none').textContent", "No trace passes")
		waitLive(t, b)
		src.add(exampleTrace(12, record.Open))
		b.Contains("document.querySelector('#traces tbody tr')?.dataset.id", "tr_000012")
		src.add(exampleTrace(12, record.Released))
		b.Contains("document.querySelectorAll('#traces tbody tr').length", "0")

		b.Go("/")
		waitLive(t, b)
		for i := range int64(rows + 20) {
			src.add(exampleTrace(20+i, record.Released))
		}
		b.Contains("document.querySelector('#traces tbody tr').dataset.id", "tr_000089")
		b.Want("document.querySelectorAll('#traces tbody tr').length", "50")
		b.Want("(s => s.join() === [...s].sort((a, b) => b - a).join())([...document.querySelectorAll('#traces tbody tr')].map(r => Number(r.dataset.seq)))", "true")
	})
	t.Run("load", func(t *testing.T) {
		b := b.In(t)
		b.Go("/load")
		b.Contains("document.getElementById('refresh').innerText", "in work 3")
		src.mu.Lock()
		src.stats.InFlight = 77
		src.mu.Unlock()
		b.Contains("document.getElementById('refresh').innerText", "in work 77")
	})
	t.Run("hostile", func(t *testing.T) {
		b := b.In(t)
		tr := agentTrace(200)
		tr.Outcome = record.Held
		b.Go("/")
		waitLive(t, b)
		src.add(hostile(tr, attack))
		b.Contains("document.querySelector('#traces tbody tr').innerText", "<script>window.pwned=1</script>")
		for _, path := range []string{"/held", "/load", "/traces/tr_000200"} {
			b.Go(path)
			if path != "/load" {
				b.Contains("document.querySelector('main').innerText", "⟨U+202E⟩evil")
			}
			b.Want("typeof window.pwned", "undefined")
			b.Want("document.querySelectorAll('main script, main img, main style').length", "0")
		}
		b.RefusesScript()
	})
	t.Run("width", func(t *testing.T) {
		b := b.In(t)
		long := exampleTrace(201, record.Held)
		src.add(hostile(long, strings.Repeat("W", 1<<16)))
		src.add(agentTrace(202))
		src.add(exampleTrace(203, record.Blocked))
		papers := map[string]bool{}
		for _, path := range []string{"/", "/held", "/load", "/login", "/traces/tr_000200", "/traces/tr_000201", "/traces/tr_000202", "/traces/tr_000203"} {
			b.Go(path)
			b.Do("document.querySelectorAll('details').forEach(d => d.open = true)")
			for _, scheme := range []string{"light", "dark"} {
				for _, width := range []int{1200, 700, 360, 320} {
					b.Look(width, scheme, "")
					if b.Text("document.documentElement.scrollWidth <= innerWidth") != "true" {
						t.Errorf("%s at %d pixels, %s: %s", path, width, scheme, b.Outside("body *"))
					}
				}
				papers[b.Text("getComputedStyle(document.body).backgroundColor")] = true
				if low := b.Text(contrast); low != "" {
					t.Errorf("%s, %s: too little contrast: %s", path, scheme, low)
				}
			}
		}
		if len(papers) != 2 {
			t.Errorf("light and dark have papers %v", papers)
		}
	})
	b.Clean()
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
	b := browser.Open(t, server.URL)
	logIn(t, b, "reviewer")
	for _, width := range []int{1200, 360, 800} { // 800 is paper
		for _, scheme := range []string{"light", "dark"} {
			media := map[bool]string{true: "print"}[width == 800]
			if media != "" && scheme == "dark" {
				continue
			}
			for name, path := range map[string]string{"list": "/", "held": "/held", "load": "/load", "trace": "/traces/tr_000002", "agent": "/traces/tr_000013", "hostile": "/traces/tr_000014", "fault": "/none"} {
				b.Look(width, scheme, media)
				b.Go(path)
				time.Sleep(100 * time.Millisecond)
				b.Shot(filepath.Join(*shots, fmt.Sprintf("page-%s-%s-%d.png", name, scheme, width)), "")
			}
		}
	}
}
