package openaitest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"candor/openai"
)

// Fault is something that goes wrong with an answer.
type Fault string

// The faults.
const (
	NoFault          Fault = ""
	Torn             Fault = "torn"               // the connection is reset in the midst
	HalfClosed       Fault = "half-closed"        // the server stops sending in the midst, but keeps listening
	NoEndMarker      Fault = "no-end-marker"      // a stream ends properly in the midst
	NoDone           Fault = "no-done"            // only [DONE] is missing: whole
	CutAfterFinish   Fault = "cut-after-finish"   // the connection is reset where [DONE] should come: whole
	EmptyChoices     Fault = "empty-choices"      // no choices
	HTMLPage         Fault = "html-page"          // some page, with status 200
	HTMLError        Fault = "html-error"         // a gateway's page, with status 502
	WrongContentType Fault = "wrong-content-type" // text of some other kind
	CutJSON          Fault = "cut-json"           // JSON that ends too early, properly sent; in a stream, one event of it
	EmptyBody        Fault = "empty-body"
	OtherJSON        Fault = "other-json" // JSON of some other kind
	ErrorIn200       Fault = "error-in-200"
	ErrorInStream    Fault = "error-in-stream" // after some pieces; in an answer of one piece, the same as ErrorIn200
	Unauthorized     Fault = "unauthorized"    // 401, and the key is echoed
	RateLimited      Fault = "rate-limited"    // 429 with Retry-After: 2
	QuotaGone        Fault = "quota-gone"      // 429 that no waiting helps
	Overloaded       Fault = "overloaded"      // 503
	Redirected       Fault = "redirected"      // 307 to elsewhere
	Hang             Fault = "hang"            // no answer until the client goes
	HangMidst        Fault = "hang-midst"      // the same after half of it
	Reset            Fault = "reset"           // the connection is reset before an answer
	NotHTTP          Fault = "not-http"        // something else than HTTP, and the key is echoed
	Huge             Fault = "huge"            // more than 64 MiB
	WrongModel       Fault = "wrong-model"     // another model answers: whole
	ContentFilter    Fault = "content-filter"  // held back
	Aborted          Fault = "aborted"         // given up
	ToolCall         Fault = "tool-call"       // a tool is called
	Late             Fault = "late"            // in a stream, thoughts come after the text: whole
	InvalidUTF8      Fault = "invalid-utf8"    // in the text: whole
	Escapes          Fault = "escapes"         // 400 with terminal escapes in its message
	OddLines         Fault = "odd-lines"       // a stream with all that the standard allows: whole
	Unstreamed       Fault = "unstreamed"      // an answer in one piece where a stream was asked for: whole
	Streamed         Fault = "streamed"        // the other way round: whole
	SpacesInFront    Fault = "spaces-in-front" // before the answer come empty lines, as from proxies that keep alive: whole
)

// Outcomes returns all faults with the outcome that openai's client has for them, "" where the answer is whole.
func Outcomes(stream bool) map[Fault]openai.Outcome {
	out := map[Fault]openai.Outcome{
		Torn: openai.TornReply, HalfClosed: openai.TornReply, EmptyChoices: openai.EmptyChoices, HTMLPage: openai.NotJSON,
		HTMLError: openai.HTTPStatus, WrongContentType: openai.WrongContentType, CutJSON: openai.NotJSON, EmptyBody: openai.NotJSON,
		OtherJSON: openai.NotAnAnswer, ErrorIn200: openai.ErrorIn200, ErrorInStream: openai.ErrorIn200,
		Unauthorized: openai.HTTPStatus, RateLimited: openai.HTTPStatus, QuotaGone: openai.HTTPStatus, Overloaded: openai.HTTPStatus,
		Redirected: openai.HTTPStatus, Hang: openai.Timeout, HangMidst: openai.Timeout, Reset: openai.LostConnection,
		NotHTTP: openai.NotHTTP, Huge: openai.TooLarge, ContentFilter: openai.ContentFilter, Aborted: openai.Aborted,
		ToolCall: openai.ToolCall, Escapes: openai.HTTPStatus,
		WrongModel: "", InvalidUTF8: "", Streamed: "", SpacesInFront: "",
	}
	if stream {
		for fault, o := range map[Fault]openai.Outcome{
			Torn: openai.TornStream, HalfClosed: openai.TornStream, NoEndMarker: openai.NoEndMarker, ErrorInStream: openai.ErrorInStream,
			NoDone: "", CutAfterFinish: "", Late: "", OddLines: "", Unstreamed: "",
		} {
			out[fault] = o
		}
		delete(out, Streamed)
	}
	return out
}

// spoil answers where a fault leaves nothing of the answer, or changes the reply; it reports whether it has answered.
func (s *Server) spoil(w http.ResponseWriter, r *http.Request, f *form) bool {
	const jsonType = "application/json"
	fail := func(status int, message string) { send(w, status, jsonType, text(f.failure(message, status))) }
	switch f.fault {
	case EmptyChoices:
		if f.asked.Chat.Stream {
			return false
		}
		b := f.body()
		b["choices"], b["output"] = []any{}, []any{}
		send(w, http.StatusOK, jsonType, text(b))
	case HTMLPage:
		send(w, http.StatusOK, "text/html; charset=utf-8", "<!DOCTYPE html>\n<html><body>Sign in</body></html>")
	case HTMLError:
		send(w, http.StatusBadGateway, "text/html", "<html><head><title>502 Bad Gateway</title></head></html>")
	case WrongContentType:
		send(w, http.StatusOK, "text/plain", "I am a teapot.")
	case EmptyBody:
		send(w, http.StatusOK, jsonType, "")
	case OtherJSON:
		send(w, http.StatusOK, jsonType, `{"status":"ok"}`)
	case ErrorIn200:
		send(w, http.StatusOK, jsonType, text(f.failure("the model fell over", 500)))
	case Unauthorized:
		fail(http.StatusUnauthorized, "Incorrect API key provided: "+r.Header.Get("Authorization"))
	case RateLimited:
		w.Header().Set("Retry-After", "2")
		fail(http.StatusTooManyRequests, "Rate limit reached")
	case QuotaGone:
		send(w, http.StatusTooManyRequests, jsonType, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`)
	case Overloaded:
		fail(http.StatusServiceUnavailable, "too many requests in flight")
	case Redirected:
		w.Header().Set("Location", "http://192.0.2.1/v1/chat/completions")
		w.WriteHeader(http.StatusTemporaryRedirect)
	case Escapes:
		fail(http.StatusBadRequest, "\x1b]0;pwned\x07\x1b[31mred\u202e\x00 end")
	case Hang:
		s.hang(r)
	case Reset:
		cut(w, "")
	case NotHTTP:
		cut(w, "SSH-2.0-"+strings.ReplaceAll(r.Header.Get("Authorization"), " ", "-")+"\r\n")
	case WrongModel:
		f.reply.Model = "another-model"
		return false
	case ContentFilter:
		f.reply.Finish = "content_filter"
		return false
	case Aborted:
		f.reply.Finish = "abort"
		return false
	case InvalidUTF8:
		f.reply.Text += "\x01"
		return false
	case ToolCall:
		f.reply.Text, f.reply.Finish = "", "tool_calls"
		return false
	default:
		return false
	}
	return true
}

// broken is a text with invalid UTF-8 where InvalidUTF8 wants it.
func (f *form) broken(s string) string {
	if f.fault != InvalidUTF8 {
		return s
	}
	return strings.ReplaceAll(s, `\u0001`, "\xff\xfe")
}

func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
}

// cut takes over the connection, sends something and resets it.
func cut(w http.ResponseWriter, raw string) {
	conn, buffer, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = buffer.WriteString(raw)
	_ = buffer.Flush()
	_ = conn.Close()
}

// halfClose sends something, closes the connection for writing, and reads until the client goes.
func (s *Server) halfClose(w http.ResponseWriter, raw string) {
	conn, buffer, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = buffer.WriteString(raw)
	_ = buffer.Flush()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, buffer)
		close(gone)
	}()
	select {
	case <-gone:
	case <-s.closed:
		_ = conn.Close()
		<-gone
	}
}

// whole sends an answer in one piece.
func (s *Server) whole(w http.ResponseWriter, r *http.Request, body string, f *form) {
	body = f.broken(body)
	half := body[:len(body)/2]
	const media = "application/json"
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", media, len(body))
	switch f.fault {
	case Torn:
		cut(w, head+half)
	case HalfClosed:
		s.halfClose(w, head+half)
	case CutJSON:
		send(w, http.StatusOK, media, half)
	case ErrorInStream:
		send(w, http.StatusOK, media, text(f.failure("the model fell over", 500)))
	case HangMidst:
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		send(w, http.StatusOK, media, half)
		w.(http.Flusher).Flush()
		s.hang(r)
	case Huge:
		w.Header().Set("Content-Type", media)
		flood(w, strings.Repeat(" ", 1<<20), 66)
	case ToolCall:
		b := f.body()
		if choices, ok := b["choices"].([]any); ok {
			m, _ := choices[0].(obj)["message"].(obj)
			if m != nil {
				m["content"], m["tool_calls"] = nil, unasked()
			}
		}
		send(w, http.StatusOK, media, text(b))
	case SpacesInFront:
		send(w, http.StatusOK, media, "\n\n         \n"+body)
	case Streamed:
		s.stream(w, r, f.events(), f)
	default:
		send(w, http.StatusOK, media, body)
	}
}

func unasked() []any {
	return []any{obj{"index": 0, "id": "call_1", "type": "function", "function": obj{"name": "search", "arguments": "{}"}}}
}

func flood(w io.Writer, piece string, times int) {
	for range times {
		if _, err := io.WriteString(w, piece); err != nil {
			return
		}
	}
}

// stream sends events.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, events []string, f *form) {
	for i := range events {
		events[i] = f.broken(events[i])
	}
	half := events[:len(events)/2]
	if f.fault == Unstreamed {
		s.whole(w, r, text(f.body()), f)
		return
	}
	done := !strings.HasSuffix(f.asked.Path, "/responses")
	switch f.fault {
	case Torn, HalfClosed, CutAfterFinish:
		if f.fault == CutAfterFinish {
			half = events
		}
		var b strings.Builder
		b.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for _, e := range half {
			e = f.event(e)
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(e), e)
		}
		if f.fault == HalfClosed {
			s.halfClose(w, b.String())
		} else {
			cut(w, b.String())
		}
		return
	case NoEndMarker, HangMidst, CutJSON:
		events, done = half, false
	case ErrorInStream:
		events, done = append(half, text(f.failure("the model fell over", 500))), false
	case EmptyChoices:
		events = nil
	case NoDone:
		done = false
	case ToolCall:
		b := f.head("chat.completion.chunk")
		b["choices"] = []any{f.choice("delta", obj{"content": nil, "tool_calls": unasked()}, "tool_calls")}
		events = []string{text(b)}
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	out := bufio.NewWriter(w)
	if f.fault == SpacesInFront {
		_, _ = out.WriteString("\n\n\n: wait\n\n")
	}
	if f.family == OpenRouter {
		_, _ = out.WriteString(": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n")
	}
	for i, e := range events {
		_, _ = out.WriteString(f.event(e))
		if i < 3 {
			_ = out.Flush()
			w.(http.Flusher).Flush() // the first pieces come apart
		}
	}
	switch {
	case f.fault == CutJSON:
		_, _ = out.WriteString("data: {\"choices\":[{\"del\n\n")
	case f.fault == Huge:
		_, _ = out.WriteString("data: ")
		flood(out, strings.Repeat("x", 1<<20), 66)
	case done:
		_, _ = out.WriteString(strings.TrimSuffix(f.event("[DONE]"), "\n")) // nor does every server end its last line twice
	}
	_ = out.Flush()
	w.(http.Flusher).Flush()
	if f.fault == HangMidst {
		s.hang(r)
	}
}

// event is the text of one event.
func (f *form) event(data string) string {
	kind := ""
	if strings.HasSuffix(f.asked.Path, "/responses") {
		if _, after, ok := strings.Cut(data, `"type":"response.`); ok {
			name, _, _ := strings.Cut(after, `"`)
			kind = "event: response." + name + "\n"
		}
	}
	if f.fault != OddLines {
		return kind + "data: " + data + "\n\n"
	}
	// JSON may be cut into lines between its members.
	lines := strings.Replace(data, `,"`, ",\r\ndata:\"", 1)
	return ": a comment\r" + strings.ReplaceAll(kind, "\n", "\r") + "id: 7\rretry: 100\r\nnobody: knows\rdata:" + lines + "\r\r"
}
