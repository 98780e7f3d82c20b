package page

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"candor/serve/record"
)

const (
	// heartbeat keeps proxies from ending a silent stream, and finds those whose reader is gone.
	heartbeat = 15 * time.Second
	// patience is how long a write to a stream may take.
	patience = 10 * time.Second
)

// events is the stream of what changes: "rows" are rows of the list, "away" the IDs of traces that the filter does not have (any
// more), "missed" says that there was more. It ends with the request, the session or the source.
func (s *site) events(w http.ResponseWriter, r *http.Request) {
	v := s.viewer(r)
	if !v.Known() {
		http.Error(w, "Log in first.", http.StatusUnauthorized)
		return
	}
	f, err := filterOf(r, v)
	if err != nil {
		http.Error(w, "The filter is not understood: "+line(err.Error())+".", http.StatusBadRequest)
		return
	}
	stream, err := s.hub.join()
	if err != nil {
		http.Error(w, "No live updates: "+err.Error()+".", http.StatusServiceUnavailable)
		return
	}
	defer s.hub.leave(stream)

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	send := func(text string) bool {
		// A writer that knows no deadlines ends with its request all the same.
		_ = out.SetWriteDeadline(s.Clock().Add(patience))
		_, err := w.Write([]byte(text))
		return err == nil && out.Flush() == nil
	}
	if !send("retry: 3000\n\n") {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		text := ": still here\n\n"
		select {
		case <-r.Context().Done():
			return
		case b, ok := <-stream.batches:
			if !ok {
				return
			}
			text = b.text(f, v.Texts())
		case <-beat.C:
		}
		if s.viewer(r) != v { // logged out, or another role
			return
		}
		if text != "" && !send(text) {
			return
		}
	}
}

// text writes what a filter has of a batch, the newest rows alone if there are many.
func (b *batch) text(f record.Filter, texts bool) string {
	var has, not []*change
	for _, c := range b.changes {
		if f.Has(&c.Summary) {
			has = append(has, c)
		} else if f.Outcome != "" || f.Monitor != "" {
			not = append(not, c)
		}
	}
	missed := b.missed
	var out, data strings.Builder
	for _, c := range not[max(0, len(not)-4*rows):] {
		data.WriteString(c.ID + "\n")
	}
	event(&out, "away", data.String())
	data.Reset()
	for _, c := range has[max(0, len(has)-rows):] {
		kind := 0
		if texts {
			kind = 1
		}
		row, err := c.rows[kind]()
		if err != nil {
			missed = true
			continue
		}
		data.WriteString(row)
	}
	event(&out, "rows", data.String())
	if missed {
		event(&out, "missed", "1")
	}
	return out.String()
}

// event appends an event, if it has data. Whatever ends a line in the data begins another line of it.
func event(out *strings.Builder, name, data string) {
	data = strings.TrimRight(data, "\r\n")
	if data == "" {
		return
	}
	fmt.Fprintf(out, "event: %s\n", name)
	for _, l := range strings.FieldsFunc(data, func(r rune) bool { return r == '\n' || r == '\r' }) {
		fmt.Fprintf(out, "data: %s\n", l)
	}
	out.WriteString("\n")
}
