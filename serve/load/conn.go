package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// conn is one connection that stays open.
type conn struct {
	net.Conn
	r *bufio.Reader
}

func dial(address string) (*conn, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReaderSize(c, 16<<10)}, nil
}

// reply is what is looked at of an answer.
type reply struct {
	status int
	// overhead is what the gateway says it took itself, in its header Server-Timing; below 0 if it does not say.
	overhead time.Duration
	bytes    int
	// finished tells whether a stream came to its end.
	finished bool
}

// do sends a request that is ready to be sent, and reads the answer to its end.
func (c *conn) do(request []byte, timeout time.Duration, deadline time.Time) (reply, error) {
	if err := c.SetDeadline(deadline.Add(timeout)); err != nil {
		return reply{}, err
	}
	if _, err := c.Write(request); err != nil {
		return reply{}, err
	}
	return c.read()
}

func (c *conn) read() (reply, error) {
	out := reply{overhead: -1}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return out, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return out, fmt.Errorf("%.40q is no answer of HTTP/1.1", line)
	}
	if out.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return out, err
	}
	length, chunked, err := c.header(&out)
	switch {
	case err != nil:
		return out, err
	case chunked:
		return out, c.chunks(&out)
	case length < 0:
		return out, errors.New("an answer without length")
	}
	return out, c.piece(&out, length)
}

// piece reads n bytes of a body, and looks for the mark that ends a stream, which servers send in one piece.
func (c *conn) piece(out *reply, n int) error {
	out.bytes += n
	for n > 0 {
		data, err := c.r.Peek(min(n, 8<<10))
		if err != nil {
			return err
		}
		out.finished = out.finished || bytes.Contains(data, []byte("data: [DONE]"))
		if _, err := c.r.Discard(len(data)); err != nil {
			return err
		}
		n -= len(data)
	}
	return nil
}

func (c *conn) header(out *reply) (length int, chunked bool, err error) {
	length = -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return length, chunked, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch textproto.CanonicalMIMEHeaderKey(string(name)) {
		case "Content-Length":
			if length, err = strconv.Atoi(strings.TrimSpace(string(value))); err != nil {
				return 0, false, err
			}
		case "Transfer-Encoding":
			chunked = bytes.Contains(value, []byte("chunked"))
		case "Server-Timing":
			out.overhead = overheadOf(string(value))
		}
	}
}

// overheadOf reads the part "overhead" of a Server-Timing.
func overheadOf(value string) time.Duration {
	_, after, ok := strings.Cut(value, "overhead;dur=")
	if !ok {
		return -1
	}
	number, _, _ := strings.Cut(after, ",")
	ms, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return -1
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// chunks reads a body in chunks.
func (c *conn) chunks(out *reply) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return fmt.Errorf("%.20q is no length of a chunk", line)
		}
		if n == 0 {
			_, err := c.r.Discard(2)
			return err
		}
		if err := c.piece(out, int(n)); err != nil {
			return err
		}
		if _, err := c.r.Discard(2); err != nil {
			return err
		}
	}
}
