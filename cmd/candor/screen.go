package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// wordPause slows the writing on a terminal down to where an eye can follow; the model itself needs a millisecond a word.
const wordPause = 25 * time.Millisecond

// screen is where a conversation is held.
type screen struct {
	w   *world
	out io.Writer
	// prompt is where lines are asked for; nil where no person types.
	prompt io.Writer
	color  bool
	pause  time.Duration
}

func newScreen(w *world) screen {
	s := screen{w: w, out: w.stdout}
	s.color = w.stdoutTerminal && w.env("NO_COLOR") == "" && w.env("TERM") != "dumb"
	if w.stdoutTerminal {
		s.pause = wordPause
	}
	if w.stdinTerminal {
		if s.prompt = w.stderr; w.stdoutTerminal {
			s.prompt = w.stdout
		}
	}
	return s
}

// The looks of a text on a terminal, as SGR codes.
const (
	dim    = "2"
	struck = "9;31"
	edited = "1;32"
	good   = "32"
	bad    = "31"
)

func (s *screen) styled(code, text string) string {
	if !s.color || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// wait lets an eye follow so many words.
func (s *screen) wait(ctx context.Context, words int) error {
	if s.pause == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(words) * s.pause):
		return nil
	}
}

// heardError says why something that was typed cannot be done; the conversation goes on.
type heardError struct{ error }

// errQuit ends a conversation.
var errQuit = errors.New("quit")

// converse reads a line at a time and has hear do what it says, until :quit or the end of the input.
func (s *screen) converse(ctx context.Context, in io.Reader, hear func(ctx context.Context, line string) error) error {
	lines, failed := readLines(ctx, in)
	for {
		if s.prompt != nil {
			fmt.Fprint(s.prompt, "> ")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-lines:
			if !ok {
				return <-failed
			}
			var heard heardError
			switch err := hear(ctx, strings.TrimSpace(line)); {
			case errors.Is(err, errQuit):
				return nil
			case errors.As(err, &heard):
				fmt.Fprintln(s.w.stderr, heard)
			case err != nil:
				return err
			}
		}
	}
}

// say has hear do what lines say, until :quit. What cannot be done is a usage error.
func say(ctx context.Context, lines []string, hear func(ctx context.Context, line string) error) error {
	for _, line := range lines {
		var heard heardError
		switch err := hear(ctx, strings.TrimSpace(line)); {
		case errors.Is(err, errQuit):
			return nil
		case errors.As(err, &heard):
			return usageError(heard)
		case err != nil:
			return err
		}
	}
	return nil
}

// readLines reads in beside the conversation, so that Ctrl-C need not wait for a line. When the lines end, failed gives
// the reason: nil at the end of the input.
func readLines(ctx context.Context, in io.Reader) (lines <-chan string, failed <-chan error) {
	out, end := make(chan string), make(chan error, 1)
	go func() {
		defer close(out)
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			select {
			case out <- scanner.Text():
			case <-ctx.Done():
				end <- ctx.Err()
				return
			}
		}
		if err := scanner.Err(); err != nil {
			err = fmt.Errorf("reading a line: %w", err)
			end <- err
			return
		}
		end <- nil
	}()
	return out, end
}

// printable replaces what would control a terminal: a checkpoint's vocabulary may be anyone's.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
