package signal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// lineMax is the longest line that is read: a file of 100 MB in base64.
const lineMax = 160 << 20

// rpcError is an error that the daemon answered (JSON-RPC 2.0 §5.1).
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    struct {
		Response sent `json:"response"`
	} `json:"data"`
}

func (e *rpcError) Error() string { return fmt.Sprintf("signal-cli: %s (%d)", e.Message, e.Code) }

// UnmarshalJSON takes data in whatever form; only that of a send is understood.
func (e *rpcError) UnmarshalJSON(b []byte) error {
	var plain struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(b, &plain); err != nil {
		return err
	}
	e.Code, e.Message = plain.Code, plain.Message
	_ = json.Unmarshal(plain.Data, &e.Data)
	return nil
}

// line is what the daemon writes: the answer to a request, or a notification.
type line struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *rpcError       `json:"error"`
}

// link is a connection to the daemon: one JSON object a line (signal-cli-jsonrpc(5), "Basic usage").
type link struct {
	net.Conn
	in *bufio.Reader
	mu sync.Mutex // of writing
}

func dial(ctx context.Context, a channel.Account, env channel.Env) (*link, error) {
	network, addr, err := address(a.Settings["rpc_address"])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var c net.Conn
	if network == "unix" {
		c, err = new(net.Dialer).DialContext(ctx, network, addr)
	} else if env.Dial == nil {
		return nil, errors.New("there is no way into the network")
	} else {
		c, err = env.Dial.DialContext(ctx, network, addr)
	}
	if err != nil {
		return nil, err
	}
	return &link{Conn: c, in: bufio.NewReaderSize(c, 64<<10)}, nil
}

// request writes one request, whole or not at all as far as the daemon can see: it begins nothing before the line ends.
func (l *link) request(id, method string, params any) error {
	return l.write(func(w io.Writer) error {
		return json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	})
}

func (l *link) write(fill func(io.Writer) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := bufio.NewWriterSize(l.Conn, 64<<10)
	if err := fill(w); err != nil {
		return err
	}
	return w.Flush()
}

var errLine = errors.New("what signal-cli writes is no JSON-RPC")

// next reads one line.
func (l *link) next() (raw []byte, m line, err error) {
	for {
		raw, err = readLine(l.in)
		if err != nil {
			return nil, m, err
		}
		if raw = bytes.TrimSpace(raw); len(raw) > 0 {
			break
		}
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return raw, m, fmt.Errorf("%w: %w", errLine, err)
	}
	return raw, m, nil
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var whole []byte
	for {
		part, err := r.ReadSlice('\n')
		whole = append(whole, part...)
		if len(whole) > lineMax {
			return nil, fmt.Errorf("signal-cli writes a line of more than %d bytes", lineMax)
		}
		if err == nil {
			return whole, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// answer reads until the answer to the request with that id; noticed is called for each notification.
func (l *link) answer(id string, noticed func()) (json.RawMessage, error) {
	for {
		_, m, err := l.next()
		if err != nil {
			return nil, err
		}
		if m.Method != "" {
			noticed()
			continue
		}
		var got string
		if json.Unmarshal(m.ID, &got) != nil || got != id {
			if m.Error != nil && (len(m.ID) == 0 || string(m.ID) == "null") {
				return nil, m.Error // the daemon could not read what we wrote
			}
			continue
		}
		if m.Error != nil {
			return nil, m.Error
		}
		return m.Result, nil
	}
}

// call makes one request over a connection of its own. written tells whether the daemon may have seen the whole of it.
func call(ctx context.Context, a channel.Account, env channel.Env, method string, write func(l *link, id string) error) (result json.RawMessage, written bool, err error) {
	l, err := dial(ctx, a, env)
	if err != nil {
		return nil, false, err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	const id = "1"
	if err := write(l, id); err != nil {
		return nil, false, orEnded(ctx, err)
	}
	result, err = l.answer(id, func() {
		env.Log.Warn("signal-cli hands messages to every connection: start its daemon with --receive-mode=manual, or messages get lost", "channel", a.ID)
	})
	if err != nil {
		return nil, true, fmt.Errorf("%s: %w", method, orEnded(ctx, err))
	}
	return result, true, nil
}

// orEnded prefers why the context ended to what that did to the connection.
func orEnded(ctx context.Context, err error) error {
	var answered *rpcError
	if ctx.Err() != nil && !errors.As(err, &answered) {
		return ctx.Err()
	}
	return err
}
