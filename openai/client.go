package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Options say where a server is and how to talk to it.
type Options struct {
	// BaseURL is such as http://localhost:8000/v1 or https://api.openai.com; /v1 is added where nothing of the kind ends it.
	BaseURL string
	// Key is sent as a bearer token; "" sends none.
	Key string
	// Headers are sent with each request, such as api-key for Azure.
	Headers map[string]string
	// HTTP does the calls; nil means one of the client's own, which keeps as many connections as there are calls at a time.
	// Redirections are never followed: they would take the key elsewhere.
	HTTP *http.Client
	// Timeout bounds each call from its start to the last byte of the answer; 0 means no bound but the context's.
	Timeout time.Duration
	// Now is the clock by which a Retry-After that names a date is understood; nil ignores such dates.
	Now func() time.Time
}

// Client calls one server. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	base    *url.URL
	key     string
	headers map[string]string
	timeout time.Duration
	now     func() time.Time
	secrets []string
	max     int64 // bytes of an answer in one piece, and of the text that a stream assembles to
	maxRead int64 // bytes of a stream
}

// NewClient returns a client. Its error says what is wrong with the options.
func NewClient(o Options) (*Client, error) {
	base, err := parseBase(o.BaseURL)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, key: o.Key, headers: o.Headers, timeout: o.Timeout, now: o.Now, max: maxEvent, maxRead: 16 * maxEvent}
	if !sendable(o.Key) {
		return nil, errors.New("the API key holds white space or control characters: it was not copied cleanly")
	}
	c.addSecret(o.Key, 4)
	for name, value := range o.Headers {
		if name == "" || strings.ContainsAny(name, " :\r\n") || strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("header %q cannot be sent: a name has no spaces or colons, a value is one line", name)
		}
		for _, word := range strings.Fields(value) { // such as "Bearer" and what follows
			c.addSecret(word, 8)
		}
	}
	// The longest first: what is left of it when a shorter one has been taken out would be seen.
	slices.SortFunc(c.secrets, func(a, b string) int { return len(b) - len(a) })
	if o.Timeout < 0 {
		return nil, fmt.Errorf("timeout is %v, must be 0 (none) or more", o.Timeout)
	}
	h := http.Client{}
	if o.HTTP != nil {
		h = *o.HTTP
	} else {
		h.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			DialContext: (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			// Without idle connections to spare a hundred calls at a time would each make a new one.
			MaxIdleConnsPerHost: 1000, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		}
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &h
	return c, nil
}

// sendable tells whether a key can be sent in a header.
func sendable(key string) bool {
	return strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f }) < 0
}

// addSecret notes what must not appear in errors. What is shorter than least bytes keeps no secret.
func (c *Client) addSecret(s string, least int) {
	if len(s) < least {
		return
	}
	c.secrets = append(c.secrets, s)
	for _, other := range []string{url.QueryEscape(s), strings.ReplaceAll(s, "/", `\/`)} {
		if other != s {
			c.secrets = append(c.secrets, other)
		}
	}
}

// versioned matches paths that lead to an API of this kind already.
var versioned = regexp.MustCompile(`(?:^|/)(?:v\d+[a-z0-9]*|beta|openai)$`)

// parseBase checks a base URL and completes it. Its errors do not repeat what may hold a password.
func parseBase(s string) (*url.URL, error) {
	shown := s
	if at := strings.LastIndex(s, "@"); at >= 0 {
		shown = "…" + s[at:]
	}
	if s, _, _ = strings.Cut(s, "#"); strings.TrimSpace(s) == "" {
		return nil, errors.New("the base URL is empty: give one such as http://localhost:8000/v1")
	}
	u, err := url.Parse(strings.TrimSpace(s))
	switch {
	case err != nil:
		return nil, fmt.Errorf("base URL %q cannot be read: give one such as http://localhost:8000/v1", shown)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("base URL %q does not begin with http:// or https://", shown)
	case u.Hostname() == "":
		return nil, fmt.Errorf("base URL %q names no host", shown)
	case u.User != nil:
		return nil, fmt.Errorf("base URL %q holds a user's name or password: give the key apart from it", shown)
	}
	path := strings.TrimRight(u.Path, "/")
	for _, end := range []string{"/chat/completions", "/completions", "/responses", "/models"} {
		path = strings.TrimSuffix(path, end)
	}
	if !versioned.MatchString(path) {
		path += "/v1"
	}
	u.Path, u.RawPath = path, ""
	return u, nil
}

// BaseURL returns the base URL that the client calls, without its query.
func (c *Client) BaseURL() string { return withoutQuery(c.base) }

func withoutQuery(u *url.URL) string {
	v := *u
	v.RawQuery = ""
	return v.String()
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Models asks which models the server has.
func (c *Client) Models(ctx context.Context) (*ModelList, error) {
	list := &ModelList{}
	err := c.do(ctx, http.MethodGet, "models", nil, func(k *call) error {
		data, err := k.whole()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(data, []byte("[")) { // Together
			return k.decode(data, &list.Data)
		}
		return k.decode(data, list)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// do sends a request to a path below the base URL, makes sure that the answer is a success, and has read read it.
func (c *Client) do(ctx context.Context, method, path string, body any, read func(*call) error) error {
	k := &call{client: c, caller: ctx, method: method}
	u := *c.base
	u.Path += "/" + path
	k.url = withoutQuery(&u)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", method, k.url, err)
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	req, err := c.request(ctx, method, u.String(), body)
	if err != nil {
		return fmt.Errorf("%s %s: %s", method, k.url, c.redact(err.Error()))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return k.unanswered(err)
	}
	defer resp.Body.Close()
	k.take(resp)
	defer k.release()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return k.refused()
	}
	return read(k)
}

func (c *Client) request(ctx context.Context, method, target string, body any) (*http.Request, error) {
	var r io.Reader
	if body != nil {
		data, err := plainJSON(body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, r)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("User-Agent", "candor")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for name, value := range c.headers {
		req.Header.Set(name, value)
	}
	return req, nil
}

// decode reads a JSON body into v.
func (k *call) decode(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return k.fault(NotAnAnswer, "the answer's %s is a JSON %s, which has no place there: %s", kind.Field, kind.Value, k.quote(data))
	}
	return k.fault(NotJSON, "the answer is not JSON (%v): %s", err, k.quote(data))
}
