package auth

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// crossOrigin refuses requests that change something and that a browser sends for another origin, by Sec-Fetch-Site and, where
// there is none, by Origin and Host.
var crossOrigin = http.NewCrossOriginProtection()

// sameOrigin refuses what another site's page sends.
func sameOrigin(r *http.Request) error {
	if crossOrigin.Check(r) != nil {
		return forbidden("a page of another site sent this request; open the gateway's own page")
	}
	return nil
}

// proxied are headers that proxies add.
var proxied = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// local refuses what does not come from a program on this machine, or from a page that this gateway served.
func local(r *http.Request) error {
	const key = "; make a key with candor keys add"
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return unauthorized("without a key only this machine is served" + key)
	}
	for _, name := range proxied {
		if r.Header[name] != nil {
			return unauthorized("a proxy passed this request on, and without a key only this machine is served" + key)
		}
	}
	if !localHost(r.Host) {
		return forbidden("without a key this server is called localhost, 127.0.0.1 or [::1], and no other name" + key)
	}
	return sameOrigin(r)
}

// localHost tells whether a Host header names this machine, with any port: it may be a forwarded one, and a page at another port
// is another origin. A name that a hostile DNS server leads here is none.
func localHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil { // no port
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	ip, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// Protect sets the headers of a page: it runs scripts and styles of this server only, none within the page itself, is shown in no
// frame, kept in no cache, and names its address to no other site.
func Protect(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer a browser would send Origin: null with the page's own forms
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
