package signer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// queued is how many requests and answers of one connection may wait.
const queued = 256

// connection is one CA's. The reader owns state; the rest is shared.
type connection struct {
	engine *engine
	conn   net.Conn
	state  state
	jobs   chan job
	out    chan []byte

	once  sync.Once
	ended chan struct{} // closed by end
	err   error         // why it ended; nil if the CA closed it
}

type job struct {
	sign func(*connection, []byte) error
	data []byte
}

// serve answers the requests of one connection until the CA closes it or ctx
// ends (nil), or a request violates the table (an Exit with StatusViolation).
// It returns when every goroutine that it started has.
func (e *engine) serve(ctx context.Context, conn net.Conn) error {
	c := &connection{engine: e, conn: conn, jobs: make(chan job, queued), out: make(chan []byte, queued), ended: make(chan struct{})}
	defer context.AfterFunc(ctx, func() { c.end(nil) })()

	var signers, writer sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		signers.Go(c.signAll)
	}
	writer.Go(func() { c.end(writeAll(conn, c.out)) })

	c.end(c.readAll())
	close(c.jobs)
	signers.Wait()
	close(c.out)
	writer.Wait()

	var v *violation
	if errors.As(c.err, &v) {
		return &cli.Exit{Status: StatusViolation, Silent: true, Err: fault.New(fault.Invalid, fault.BadRequest, "%s", v.Error())}
	}
	return c.err
}

// end closes the connection; the first error counts. A CA that went away is no
// error.
func (c *connection) end(err error) {
	c.once.Do(func() {
		var v *violation
		if errors.As(err, &v) {
			c.err = err
		}
		close(c.ended)
		c.conn.Close()
	})
}

func (c *connection) readAll() error {
	in := bufio.NewReaderSize(c.conn, 64<<10)
	for {
		k, data, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e, known := table[k]
		if !known {
			return &violation{fmt.Sprintf("a request of kind %d, which does not exist", k)}
		}
		if e.permit != c.state {
			return &violation{fmt.Sprintf("a request of kind %d out of order", k)}
		}
		c.state = e.next
		if e.answer != nil {
			if err := e.answer(c, data); err != nil {
				return err
			}
			continue
		}
		c.jobs <- job{e.sign, data}
	}
}

// signAll signs what the reader has queued. After the end nothing more is
// signed: what comes after a violation is not asked in good faith either.
func (c *connection) signAll() {
	for j := range c.jobs {
		select {
		case <-c.ended:
			continue
		default:
		}
		if err := j.sign(c, j.data); err != nil {
			c.end(err)
		}
	}
}

func (c *connection) send(frame []byte) { c.out <- frame }

// writeAll writes what comes from frames until it is closed, as much at once as
// is there. After an error it only drains, so that nobody waits for it.
func writeAll(w io.Writer, frames <-chan []byte) error {
	var failed error
	for frame := range frames {
		batch := frame
		for more := true; more && len(batch) < 64<<10; {
			select {
			case next, ok := <-frames:
				if more = ok; ok {
					batch = append(batch, next...)
				}
			default:
				more = false
			}
		}
		if failed == nil {
			_, failed = w.Write(batch)
		}
	}
	return failed
}
