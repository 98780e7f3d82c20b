//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServeInterrupted: Ctrl-C and SIGTERM end a server, with exit code 130 and a sentence.
func TestServeInterrupted(t *testing.T) {
	for _, sent := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd := exec.Command("candor", "serve", "--bare", "--listen", "127.0.0.1:0")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		said := new(bytes.Buffer)
		cmd.Stderr = said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var name, url string
		if _, err := fmt.Sscanf(line, "serving %s at %s", &name, &url); err != nil {
			t.Fatalf("the first line is %q", line)
		}
		answer, err := http.Post(url+"/completions", "application/json", strings.NewReader(`{"prompt":"q i1 8 i2 5 . mod 7 ; steps :"}`))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != 200 {
			t.Errorf("%d %s %v", answer.StatusCode, text, err)
		}
		if err := cmd.Process.Signal(sent); err != nil {
			t.Fatal(err)
		}
		if code := exitStatus(cmd.Wait()); code != exitInterrupted || !strings.Contains(said.String(), "candor: stopped; all requests that were under way are answered") {
			t.Errorf("%s: exit code %d, %s", sent, code, said)
		}
		late.Stop()
	}
}
