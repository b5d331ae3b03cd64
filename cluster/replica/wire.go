package replica

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The replica's side of the client port: commands are sent as arrays of bulk
// strings; what comes back is a line for each, and then frames as bulk strings.

// maxLineBytes bounds a reply's line.
const maxLineBytes = 4 << 10

// appendCommand appends a command as a client sends it.
func appendCommand(dst []byte, args ...string) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(args)), 10)
	dst = append(dst, "\r\n"...)
	for _, a := range args {
		dst = append(dst, '$')
		dst = strconv.AppendInt(dst, int64(len(a)), 10)
		dst = append(dst, "\r\n"...)
		dst = append(dst, a...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// AppendFrame appends a frame's bytes as the bulk string that it is sent as.
func AppendFrame(dst, frame []byte) []byte {
	dst = append(dst, '$')
	dst = strconv.AppendInt(dst, int64(len(frame)), 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, frame...)
	return append(dst, "\r\n"...)
}

// replyError is an error that a source has replied.
type replyError string

func (e replyError) Error() string { return string(e) }

var errProtocol = errors.New("replica: the source does not speak the protocol")

// readLine reads a line without its end.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLineBytes {
			return "", fmt.Errorf("%w: a line of more than %d bytes", errProtocol, maxLineBytes)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", err
		}
		break
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return "", fmt.Errorf("%w: line %q", errProtocol, line)
	}
	return string(line[:len(line)-2]), nil
}

// readStatus reads a simple string. An error that was replied is a replyError.
func readStatus(r *bufio.Reader) (string, error) {
	line, err := readLine(r)
	switch {
	case err != nil:
		return "", err
	case line[0] == '+':
		return line[1:], nil
	case line[0] == '-':
		return "", replyError(line[1:])
	}
	return "", fmt.Errorf("%w: %q where a status is expected", errProtocol, line)
}

// readFrame reads a bulk string, which the caller owns. What its length promises is
// not taken until it comes.
func readFrame(r *bufio.Reader) ([]byte, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(line[1:])
	if line[0] == '-' {
		return nil, replyError(line[1:])
	}
	if line[0] != '$' || err != nil || n < 0 || n > MaxFrameBytes {
		return nil, fmt.Errorf("%w: %q where a frame is expected", errProtocol, line)
	}
	var body []byte
	if n+2 <= 2*frameBytes {
		body = make([]byte, n+2)
		_, err = io.ReadFull(r, body)
	} else {
		var b bytes.Buffer
		if _, err = io.CopyN(&b, r, int64(n+2)); errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		body = b.Bytes()
	}
	if err != nil {
		return nil, err
	}
	if body[n] != '\r' || body[n+1] != '\n' {
		return nil, fmt.Errorf("%w: a frame of %d bytes does not end where it should", errProtocol, n)
	}
	return body[:n:n], nil
}
