package ledger

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// child is a gateway under load until it is killed: it prints each receipt that it got.
func child(path string) {
	opts := options()
	opts.Busy, opts.Instance = 5*time.Second, os.Getenv("CANDOR_LEDGER_INSTANCE")
	l, err := Open(context.Background(), path, opts)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if _, err := l.Begin(context.Background(), fmt.Sprintf("%d-open", os.Getpid()), nil); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for k := 0; ; k++ {
				trace := fmt.Sprintf("%d-%d-%d", os.Getpid(), i, k)
				receipts, err := request(context.Background(), l, trace)
				if err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				mu.Lock()
				for _, r := range receipts {
					fmt.Println(r.Mark())
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// Every answer that a client received has an entry, whenever the gateway was killed, and every request has an end.
func TestKilledUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	var marks []Mark
	for round := range 3 {
		marks = append(marks, killed(t, path, 300*(round+1))...)
		r := verify(t, path, Check{Key: testPublic, At: marks})
		for _, f := range r.Faults {
			t.Error(f)
		}
		if t.Failed() {
			return
		}
	}
	unfinished := verify(t, path, Check{}).Unfinished
	l := open(t, path, options())
	if got := len(l.Recovered()); int64(got) != unfinished {
		t.Errorf("%d traces recovered, %d were unfinished", got, unfinished)
	}
	closed(t, l)
	r := good(t, path)
	if r.Unfinished != 0 || r.Begun != r.Ended+r.Abandoned || r.Abandoned == 0 {
		t.Errorf("a request without an end: %+v", r)
	}
}

// killed starts a child, kills it after it has printed so many receipts, and returns all that it printed.
func killed(t *testing.T, path string, after int) (marks []Mark) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "CANDOR_LEDGER_CHILD="+path, "CANDOR_LEDGER_INSTANCE=killed")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		m, err := ParseMark(lines.Text())
		if err != nil && len(marks) > after {
			break // the kill cut the line
		}
		if err != nil {
			t.Fatalf("the child said %q", lines.Text())
		}
		if marks = append(marks, m); len(marks) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "kill") && !strings.Contains(err.Error(), "exit status 1") {
		t.Fatalf("the child ended with %v", err)
	}
	return marks
}
