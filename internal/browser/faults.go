package browser

import (
	"fmt"
	"strings"
)

// Outside lists those elements of a CSS selector that are drawn beyond the window's left or right edge, one a line and ten at
// most. It sees what a clipped figure would hide from the page's scroll width.
func (b *Tab) Outside(selector string) string {
	b.t.Helper()
	return b.Text(fmt.Sprintf(`[...document.querySelectorAll(%q)]
		.filter(e => { const r = e.getBoundingClientRect(); return r.right > innerWidth + 1 || r.left < -1; })
		.map(e => e.tagName + '.' + e.getAttribute('class') + ' ' + (e.textContent || '').slice(0, 40)).slice(0, 10).join('\n')`, selector))
}

// Clean fails the test if the browser complained since the last call, or if a page ever asked for anything that is not the
// server's.
func (b *Tab) Clean() {
	b.t.Helper()
	if faults := b.faults(); len(faults) > 0 {
		b.t.Errorf("the browser complains: %q", faults)
	}
	for _, url := range b.elsewhere() {
		b.t.Errorf("the page asked for %s", url)
	}
}

// RefusesScript fails the test unless the page's policy stops a script that is added to it, as it would stop a tag of hostile
// text. The page has to be clean before; the refusal shows that Clean can see such a thing, and is then forgotten.
func (b *Tab) RefusesScript() {
	b.t.Helper()
	b.Clean()
	b.Do("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.added = 1'}))")
	b.Want("typeof window.added", "undefined")
	if faults := b.faults(); len(faults) != 1 || !strings.Contains(faults[0], "Content Security Policy") {
		b.t.Errorf("faults %q, want just the refusal of the test's own script", faults)
	}
}

// faults returns what the browser complained of since the last call.
func (b *Tab) faults() []string {
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	faults := b.seen.faults
	b.seen.faults = nil
	return faults
}

// elsewhere returns the URLs that were asked for and are not the server's. What is written in the page itself (data:) and an
// empty page (about:) are asked of nobody.
func (b *Tab) elsewhere() []string {
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	var out []string
	for _, url := range b.seen.requests {
		if !strings.HasPrefix(url, b.base+"/") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "about:") {
			out = append(out, url)
		}
	}
	return out
}
