package auth

import (
	"net/http"
	"strings"
	"testing"
)

// Without keys only programs on this machine, and the gateway's own page, may do anything.
func TestLocal(t *testing.T) {
	a := open(t, keysFile(t), newClock(), func(o *Options) { o.Anonymous = true })
	for _, tc := range []struct {
		name   string
		host   string
		from   string
		header http.Header
		method string
		ok     bool
	}{
		{"address", "127.0.0.1:8473", "", nil, "", true},
		{"name", "localhost:8473", "", nil, "", true},
		{"name in other letters", "LocalHost:8473", "", nil, "", true},
		{"IPv6", "[::1]:8473", "[::1]:50000", nil, "", true},
		{"IPv6 without a port", "[::1]", "[::1]:50000", nil, "", true},
		{"forwarded port", "localhost:9000", "", nil, "", true},
		{"no port", "localhost", "", nil, "", true},
		{"another loopback address", "127.0.0.2:8473", "", nil, "", true},
		{"rebound", "evil.example:8473", "", nil, "", false},
		{"rebound, reading", "evil.example:8473", "", nil, "GET", false},
		{"rebound below localhost", "evil.localhost:8473", "", nil, "", false},
		{"rebound with localhost before", "localhost.evil.example", "", nil, "", false},
		{"rebound with an address before", "127.0.0.1.evil.example:8473", "", nil, "", false},
		{"dot behind", "localhost.:8473", "", nil, "", false},
		{"all addresses", "0.0.0.0:8473", "", nil, "", false},
		{"another machine's address", "192.168.1.2:8473", "", nil, "", false},
		{"short address", "127.1:8473", "", nil, "", false},
		{"number", "2130706433:8473", "", nil, "", false},
		{"octal", "0177.0.0.1:8473", "", nil, "", false},
		{"user", "localhost@evil.example", "", nil, "", false},
		{"empty", "", "", nil, "", false},
		{"brackets", "[]", "", nil, "", false},
		{"from another machine", "127.0.0.1:8473", "192.0.2.1:50000", nil, "", false},
		{"from nowhere", "127.0.0.1:8473", "@", nil, "", false},
		{"through a proxy", "127.0.0.1:8473", "", http.Header{"X-Forwarded-For": {"192.0.2.1"}}, "", false},
		{"through another", "127.0.0.1:8473", "", http.Header{"Forwarded": {"for=192.0.2.1"}}, "GET", false},
		{"own page", "127.0.0.1:8473", "", http.Header{"Sec-Fetch-Site": {"same-origin"}}, "", true},
		{"typed", "127.0.0.1:8473", "", http.Header{"Sec-Fetch-Site": {"none"}}, "", true},
		{"another site's page", "127.0.0.1:8473", "", http.Header{"Sec-Fetch-Site": {"cross-site"}}, "", false},
		{"page at another port", "localhost:8473", "", http.Header{"Sec-Fetch-Site": {"same-site"}}, "", false},
		{"another site's link", "127.0.0.1:8473", "", http.Header{"Sec-Fetch-Site": {"cross-site"}}, "GET", true},
		{"own origin", "127.0.0.1:8473", "", http.Header{"Origin": {"http://127.0.0.1:8473"}}, "", true},
		{"another origin", "127.0.0.1:8473", "", http.Header{"Origin": {"http://evil.example"}}, "", false},
		{"no origin", "127.0.0.1:8473", "", http.Header{"Origin": {"null"}}, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			method := "POST"
			if tc.method != "" {
				method = tc.method
			}
			r := request(method, "/v1/chat/completions", "")
			r.Host = tc.host
			if tc.from != "" {
				r.RemoteAddr = tc.from
			}
			for name, values := range tc.header {
				r.Header[name] = values
			}
			_, done, err := a.Admit(r)
			done()
			if tc.ok != (err == nil) {
				t.Errorf("error %v", err)
			}
			if _, _, _, ok := a.Guard().Who(r); ok != tc.ok {
				t.Errorf("known at the page: %t", ok)
			}
		})
	}
}

func TestProtect(t *testing.T) {
	h := http.Header{}
	Protect(h)
	policy := h.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy has no %s", part)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy is %s", policy)
	}
	// With no-referrer, browsers send Origin: null with forms, and sameOrigin refuses them where there is no Sec-Fetch-Site.
	for name, want := range map[string]string{"Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		if h.Get(name) != want {
			t.Errorf("%s is %q", name, h.Get(name))
		}
	}
}
