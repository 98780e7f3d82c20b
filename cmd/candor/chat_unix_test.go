//go:build unix

package main

import (
	"bufio"
	"bytes"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestChatInterrupted: Ctrl-C ends a conversation at once, with exit code 130, while it waits for a line.
func TestChatInterrupted(t *testing.T) {
	for _, args := range [][]string{{"chat"}, {"chat", "--two-part"}} {
		cmd := exec.Command("candor", args...)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		said := new(bytes.Buffer)
		cmd.Stderr = said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		problem, last := "8 + 5 + 3 mod 7\n", "Step checker"
		if len(args) > 1 {
			problem, last = "key 2: 3 + 0 + 4 + 1\n", "Truth"
		}
		if _, err := in.Write([]byte(problem)); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan() && !strings.HasPrefix(lines.Text(), last); {
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if code := exitStatus(cmd.Wait()); code != exitInterrupted || said.Len() > 0 {
			t.Errorf("%s: exit code %d, %s", args, code, said)
		}
		late.Stop()
	}
}
