package runner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"candor/reasoning/llm"
	"candor/study/runlog"
)

// over is a model at the other end of a URL.
type over string

func (u over) Generate(ctx context.Context, requests []llm.Request) ([]llm.Completion, error) {
	out := make([]llm.Completion, len(requests))
	for i, r := range requests {
		body, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		post, err := http.NewRequestWithContext(ctx, http.MethodPost, string(u), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		resp, err := http.DefaultClient.Do(post)
		if err != nil {
			return nil, &llm.TransientError{Err: err}
		}
		data, err := io.ReadAll(resp.Body)
		if err = firstOf(err, resp.Body.Close()); err != nil {
			return nil, &llm.TransientError{Err: err}
		}
		if err := json.Unmarshal(data, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var toKill = numbered(400)

// child is the process that gets killed: an audit that tells on its output how many samples and calls are finished.
func child(dir, url string) int {
	f, err := runlog.Open(dir, clock, "candor audit")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	o := options(f, over(url))
	o.Progress = func(p Progress) { fmt.Println(p.Done, p.Calls) }
	if _, err := Run(context.Background(), o, toKill, echo(toKill)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestKillLosesNothingThatWasFinished(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var r llm.Request
		if err := json.NewDecoder(req.Body).Decode(&r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		asked[r.Messages[0].Text+"|"+r.Prefix]++
		mu.Unlock()
		c, err := said(req.Context(), r)
		if err == nil {
			err = json.NewEncoder(w).Encode(c)
		}
		_ = err // the other side has been killed
	}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	done, calls := 0, 0
	for kill := range 3 {
		d, c := killAfter(t, dir, server.URL, 60+50*kill)
		if d < done {
			t.Fatalf("%d samples were finished, then %d", done, d)
		}
		done, calls = d, calls+c
		// A reader gets along with what a kill leaves behind, before anybody has mended it.
		kept, err := Count(dir)
		if err != nil || kept.Done < done || kept.Calls < int64(calls) || kept.Failed > 0 {
			t.Fatalf("%d samples and %d calls were finished; kept are %+v, %v", done, calls, kept, err)
		}
		done, calls = kept.Done, int(kept.Calls)
	}
	if done == len(toKill) {
		t.Fatal("nothing was left to go on with")
	}
	kept := map[string]bool{}
	if err := Each(dir, func(e Entry) error { kept[e.ID] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	before := 0
	for _, n := range asked {
		before += n
	}
	mu.Unlock()
	f := folder(t, dir)
	work := echo(toKill)
	p := mustRun(t, options(f, over(server.URL)), toKill, func(ctx context.Context, calls Calls, index, epoch int) (runlog.Sample, error) {
		if kept[toKill[index]] {
			t.Errorf("%s is made again", toKill[index])
		}
		return work(ctx, calls, index, epoch)
	})
	after := 0
	for _, n := range asked {
		after += n
	}
	if p.Before != done || p.Done != len(toKill) || after-before != 2*len(toKill)-calls {
		t.Errorf("%+v; %d calls were kept, %d were made then", p, calls, after-before)
	}
	whole := folder(t, t.TempDir())
	mustRun(t, options(whole, &generator{answer: said}), toKill, echo(toKill))
	if exported(t, f) != exported(t, whole) {
		t.Error("the samples differ from those of a run that nobody killed")
	}
}

// killAfter runs the child until it has told of so many calls, kills it and returns the last that it told.
func killAfter(t *testing.T, dir, url string, limit int) (done, calls int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CANDOR_RUNNER_CHILD="+dir, "CANDOR_RUNNER_URL="+url)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Split(wholeLines)
	killed := false
	for lines.Scan() {
		d, c, ok := bytes.Cut(lines.Bytes(), []byte(" "))
		if !ok {
			continue
		}
		if done, err = strconv.Atoi(string(d)); err == nil {
			calls, err = strconv.Atoi(string(c))
		}
		if err != nil {
			t.Fatal(err)
		}
		if calls >= limit && !killed {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || !killed {
		t.Fatalf("the child ended by itself: %v %s", err, stderr.String())
	}
	return done, calls
}

// wholeLines leaves out a last line without its newline: the kill cut it short.
func wholeLines(data []byte, end bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if end {
		return len(data), nil, nil
	}
	return 0, nil, nil
}
