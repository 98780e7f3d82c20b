// Package browser opens pages in a real Chromium, for tests, and notes everything that a page should not do there.
//
//	b := browser.Open(t, server.URL)
//	b.Look(360, "dark", "")
//	b.Go("/held")
//	b.Contains("document.title", "Held")
//	b.Clean()
//
// Only tests import it: no import rule of internal/archtest lets another package do so. That is why it may read the
// environment: where CI is set a missing browser is a failure, elsewhere the test is skipped.
//
// All methods report to the test that a Tab belongs to; [Tab.In] hands it to a subtest. JavaScript is given as an
// expression whose value is compared as a string.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
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
)

// A Tab is a window of a browser. It is for one goroutine.
type Tab struct {
	t    *testing.T
	ctx  context.Context
	base string
	seen *notes
}

// notes are what the browser says while a page runs.
type notes struct {
	mu       sync.Mutex
	faults   []string // console messages, exceptions and refusals by the policy
	requests []string // all URLs asked for
}

func (n *notes) take(event any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		n.faults = append(n.faults, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		n.faults = append(n.faults, fmt.Sprint("console ", e.Type))
	case *log.EventEntryAdded:
		n.faults = append(n.faults, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		n.requests = append(n.requests, e.Request.URL)
	}
}

// find returns a Chromium, or ends the test: as a failure in continuous integration (CI is set), else as skipped.
func find(t *testing.T) string {
	t.Helper()
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

// Open starts a browser that ends with the test, after 90 seconds at the latest. base is the address of the server whose
// pages are tested, without a slash at its end; it may be empty if [Tab.Clean] is not asked.
func Open(t *testing.T, base string) *Tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(find(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(60*time.Second))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &Tab{t: t, base: base, seen: &notes{}}
	if err := chromedp.Listen(ctx, b.seen.take); err != nil {
		t.Fatal(err)
	}
	b.ctx, cancel = context.WithTimeout(ctx, 90*time.Second) // only now: the browser lives as long as the context it starts with
	t.Cleanup(cancel)
	b.Run(command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}))
	return b
}

// In returns the same tab for a subtest, to which it reports.
func (b *Tab) In(t *testing.T) *Tab {
	sub := *b
	sub.t = t
	return &sub
}

// command makes an action of a command of the browser's protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// Run takes actions one after the other.
func (b *Tab) Run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// Go loads a path of the server.
func (b *Tab) Go(path string) {
	b.t.Helper()
	b.Run(chromedp.Navigate(b.base + path))
}

// Look sets the window's width in pixels, the reader's preference of colours ("light" or "dark") and the medium ("" for a
// screen, or "print").
func (b *Tab) Look(width int, scheme, media string) {
	b.t.Helper()
	b.Run(chromedp.EmulateViewport(int64(width), 900), command(emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Media: media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

// Do runs a script for its effect.
func (b *Tab) Do(js string) {
	b.t.Helper()
	b.Run(chromedp.Evaluate[chromedp.Void](js))
}

// Click clicks on the element of a CSS selector, once it is there.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	b.Run(chromedp.Click(chromedp.CSS(selector)))
}

// Keys presses keys one after the other, as a keyboard does: whoever prevents a key's default prevents its letter too. Each
// character is a key; package kb has those without a letter.
func (b *Tab) Keys(list ...string) {
	b.t.Helper()
	for _, key := range list {
		for _, r := range key {
			events := kb.Encode(r)
			down, up := *events[0], *events[len(events)-1]
			if len(events) == 3 {
				down.Text, down.UnmodifiedText = events[1].Text, events[1].UnmodifiedText
			}
			b.Run(command(input.DispatchKeyEvent, down), command(input.DispatchKeyEvent, up))
		}
	}
}

// Shot writes a picture of the element of a CSS selector, or of the whole page if it is empty, to a PNG file.
func (b *Tab) Shot(file, selector string) {
	b.t.Helper()
	picture := chromedp.FullScreenshot(100)
	if selector != "" {
		picture = chromedp.Screenshot(chromedp.CSS(selector))
	}
	png, err := chromedp.Run(b.ctx, picture)
	if err == nil {
		err = os.WriteFile(file, png, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// Text is the value of an expression as a string.
func (b *Tab) Text(js string) string {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+js+")"))
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// Want fails the test unless an expression has a value now.
func (b *Tab) Want(js, want string) {
	b.t.Helper()
	if got := b.Text(js); got != want {
		b.t.Errorf("%s is %q, want %q", js, got, want)
	}
}

// Contains waits for a change, about 5 seconds: it ends the test unless the value of an expression comes to hold part.
func (b *Tab) Contains(js, part string) {
	b.t.Helper()
	var got string
	for range 250 {
		if got = b.Text(js); strings.Contains(got, part) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatalf("%s is %q, which does not hold %q", js, got, part)
}
