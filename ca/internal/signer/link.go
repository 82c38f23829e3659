package signer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// link is one connection to one signer. Many callers ask over it at once; one
// goroutine writes what they have gathered, one reads and hands out answers.
type link struct {
	conn net.Conn
	in   *bufio.Reader
	wait func() error // for the process, if we started one
	keys PublicKeys   // fixed after greet

	out  chan []byte
	dead chan struct{} // closed when no answer will come any more
	err  error         // why; read after dead

	mu      sync.Mutex
	last    uint32
	waiting map[uint32]chan answer
}

type answer struct {
	blob []byte // a certificate, or a signed note
	last int64  // where blob is nil: the size of the checkpoint that was signed last
	err  error
}

func newLink(conn net.Conn, wait func() error) *link {
	return &link{
		conn: conn, in: bufio.NewReaderSize(conn, 64<<10), wait: wait,
		out: make(chan []byte, queued), dead: make(chan struct{}), waiting: map[uint32]chan answer{},
	}
}

// greet brings the connection to the state in which it signs.
func (l *link) greet(ctx context.Context) error {
	l.conn.SetDeadline(time.Now().Add(readyPatience))
	defer context.AfterFunc(ctx, func() { l.conn.SetDeadline(time.Unix(1, 0)) })()
	first := appendFrame(nil, msgHello, &helloMsg{protocolVersion})
	// An error here is a signer that has ended. Why, it may have said before; if
	// not, reading fails as well.
	l.conn.Write(appendFrame(first, msgKeys, nil))
	var hello helloMsg
	if err := l.read(msgHelloReply, &hello); err != nil {
		return err
	}
	if hello.Version != protocolVersion {
		return away(fmt.Errorf("the signer speaks version %d of the protocol", hello.Version))
	}
	var m keysReplyMsg
	if err := l.read(msgKeysReply, &m); err != nil {
		return err
	}
	for list, data := range map[*[]ssh.PublicKey][]byte{
		&l.keys.UserCA: m.UserCA, &l.keys.SessionCA: m.SessionCA, &l.keys.HostCA: m.HostCA,
	} {
		var err error
		if *list, err = decodeKeys(data); err != nil {
			return away(fmt.Errorf("read the signer's keys: %w", err))
		}
	}
	l.keys.Log = m.Log
	if err := l.keys.check(); err != nil {
		return err
	}
	l.conn.SetDeadline(time.Time{})
	return nil
}

// read reads one answer of kind want, or the signer's word that it will not be.
func (l *link) read(want kind, msg any) error {
	k, data, err := readFrame(l.in)
	if err != nil {
		return away(fmt.Errorf("greet the signer: %w", err))
	}
	if k == msgFailed {
		var m failedMsg
		if err := ssh.Unmarshal(data, &m); err != nil {
			return away(err)
		}
		f := fault.New(fault.Unavailable, fault.SignerAway, "the signer does not start: %s", m.Text)
		if m.Reason == string(fault.ConfigInvalid) {
			f.Kind, f.Reason = fault.Invalid, fault.ConfigInvalid
		}
		f.Next = m.Next
		return f
	}
	if k != want {
		return away(fmt.Errorf("greet the signer: an answer of kind %d and not %d", k, want))
	}
	if err := ssh.Unmarshal(data, msg); err != nil {
		return away(fmt.Errorf("greet the signer: %w", err))
	}
	return nil
}

// live hands out answers until the connection ends, and waits for the process.
func (l *link) live(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { l.conn.Close() })()
	var writer sync.WaitGroup
	writer.Go(l.writeAll)
	err := l.readAll()
	l.conn.Close()
	if ended := l.wait(); ended != nil {
		err = errors.Join(err, fmt.Errorf("signer: %w", ended))
	}
	l.err = err
	close(l.dead)
	writer.Wait()
}

// ask sends the frame that encode makes for a request's id, and waits for its
// answer.
func (l *link) ask(ctx context.Context, encode func(requestID uint32) ([]byte, error)) (answer, error) {
	reply := make(chan answer, 1)
	l.mu.Lock()
	l.last++
	requestID := l.last
	l.waiting[requestID] = reply
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.waiting, requestID)
		l.mu.Unlock()
	}()

	frame, err := encode(requestID)
	if err != nil {
		return answer{}, err
	}
	select {
	case l.out <- frame:
	case <-l.dead:
		return answer{}, away(l.err)
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	select {
	case a := <-reply:
		return a, a.err
	case <-l.dead:
		return answer{}, away(l.err)
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

func (l *link) writeAll() {
	for {
		var batch []byte
		select {
		case batch = <-l.out:
		case <-l.dead:
			return
		}
		for more := true; more && len(batch) < 64<<10; {
			select {
			case next := <-l.out:
				batch = append(batch, next...)
			default:
				more = false
			}
		}
		if _, err := l.conn.Write(batch); err != nil {
			l.conn.Close() // the reader sees it, and ends
			return
		}
	}
}

func (l *link) readAll() error {
	for {
		k, data, err := readFrame(l.in)
		if err != nil {
			return err
		}
		switch k {
		case msgCertificate:
			var m certificateMsg
			if err := ssh.Unmarshal(data, &m); err != nil {
				return err
			}
			l.reply(m.ID, answer{blob: m.Blob})
		case msgNote:
			var m noteMsg
			if err := ssh.Unmarshal(data, &m); err != nil {
				return err
			}
			l.reply(m.ID, answer{blob: m.Note})
		case msgLastSize:
			var m lastSizeMsg
			if err := ssh.Unmarshal(data, &m); err != nil {
				return err
			}
			l.reply(m.ID, answer{last: int64(m.Size)})
		case msgRefusal:
			var m refusalMsg
			if err := ssh.Unmarshal(data, &m); err != nil {
				return err
			}
			l.reply(m.ID, answer{err: refused(m)})
		default:
			return fmt.Errorf("the signer sent an answer of kind %d", k)
		}
	}
}

func (l *link) reply(requestID uint32, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if reply := l.waiting[requestID]; reply != nil {
		delete(l.waiting, requestID)
		reply <- a
	}
}

// refused is the fault that a refusal stands for. The signer can name three
// reasons; what else it says is a bug of one side.
func refused(m refusalMsg) *fault.Error {
	switch m.Reason {
	case string(fault.ProfileRefused):
		return fault.New(fault.Invalid, fault.ProfileRefused, "%s", m.Text)
	case string(fault.LogDamaged):
		return fault.New(fault.Conflict, fault.LogDamaged, "%s", m.Text)
	case string(fault.KeyRefused):
		return fault.New(fault.Denied, fault.KeyRefused, "%s", m.Text)
	}
	return fault.New(fault.Internal, fault.InternalError, "%s", m.Text)
}
