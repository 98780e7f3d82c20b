//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// server is a Postgres of the tests' own, in a folder of its own and without a network.
type server struct {
	bin, dir string
	user     *syscall.Credential
	running  *exec.Cmd
}

var (
	theServer   *server
	startServer = sync.OnceValue(func() error {
		s, err := newServer()
		if err == nil {
			theServer = s
			err = s.start()
		}
		return err
	})
	databases int
)

// database returns the URL of an empty place for a ledger, or skips the test where there is no Postgres. It takes initdb and
// postgres from PATH, or from where Debian has them.
func database(t testing.TB) string {
	t.Helper()
	err := startServer()
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" {
		t.Skip("there is no Postgres here: install it for the tests with it")
	}
	if err != nil {
		t.Fatal(err)
	}
	databases++
	return fmt.Sprintf("postgres://postgres:hush@/postgres?host=%s&search_path=ledger%d", theServer.dir, databases)
}

func stopServer() {
	if theServer != nil {
		theServer.stop(syscall.SIGQUIT)
		if err := os.RemoveAll(theServer.dir); err != nil {
			fmt.Println(err)
		}
	}
}

func newServer() (*server, error) {
	s := &server{}
	found, err := exec.LookPath("initdb")
	if err != nil {
		all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(all) == 0 {
			return nil, err
		}
		found = slices.Max(all)
	}
	if found, err = filepath.EvalSymlinks(found); err != nil {
		return nil, err
	}
	s.bin = filepath.Dir(found)
	if s.dir, err = os.MkdirTemp("", "candor-pg-"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 { // Postgres does not run as root
		other, err := user.Lookup("postgres")
		if err != nil {
			other, err = user.Lookup("nobody")
		}
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(other.Uid)
		gid, _ := strconv.Atoi(other.Gid)
		s.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return nil, err
		}
	}
	out, err := s.command("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--pgdata="+filepath.Join(s.dir, "data")).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s, nil
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.user}
	return cmd
}

// start starts it and waits until it takes connections.
func (s *server) start() error {
	s.running = s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-c", "listen_addresses=", "-c", "unix_socket_directories="+s.dir, "-c", "logging_collector=off", "-c", "max_connections=400")
	log, err := s.running.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.running.Start(); err != nil {
		return err
	}
	ready := make(chan error, 1)
	go func() {
		said, buffer := "", make([]byte, 4096)
		for {
			n, err := log.Read(buffer)
			if said += string(buffer[:n]); strings.Contains(said, "ready to accept connections") {
				ready <- nil
				_, _ = io.Copy(io.Discard, log)
				return
			}
			if err != nil {
				ready <- fmt.Errorf("postgres: %w\n%s", err, said)
				return
			}
		}
	}()
	return <-ready
}

// stop ends it by a signal and waits for that.
func (s *server) stop(signal syscall.Signal) {
	if s.running != nil {
		_ = s.running.Process.Signal(signal)
		_ = s.running.Wait() // the status says which signal
		s.running = nil
	}
}

// crash ends the server as a loss of power does, and starts it again after f.
func crash(t *testing.T, f func()) {
	t.Helper()
	theServer.stop(syscall.SIGQUIT)
	f()
	if err := theServer.start(); err != nil {
		t.Fatal(err)
	}
}
