// Package sftp follows an SFTP conversation (version 3,
// draft-ietf-secsh-filexfer-02, with OpenSSH's extensions: its PROTOCOL, section
// 4) as it passes in both directions, and tells each operation with its result.
//
// It changes nothing and holds nothing back: bytes go on verbatim. What it does
// not understand is an error, and the channel has to end, because something
// would pass that nobody can tell later.
//
// # Promises
//
// Every request that was answered is told once, before its answer goes on, if
// the caller delivers what it fed only after Client or Node has returned nil.
// Requests about an open file's content are told together, when it is closed.
// End tells what was still open.
//
// A SHA-256 is told only of content that crossed this channel as one whole: each
// byte once, from the first to the last that the node knows of. Requests and
// answers may come in any order. Where there is no digest, Unhashed says why.
//
// Memory is bounded whatever the peers send: see the limits in limit.go. A
// frame's length is believed only as far as its bytes have come. Content is
// never copied, but for pieces that came out of order.
//
// # Not promised
//
// What else happened to a file meanwhile, on the node or over another handle:
// the digest is of what crossed, not of what the disk holds now. An extension
// that this package does not know is told by name; what it did is not known.
//
// The package is pure.
package sftp

import (
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// Config is what a Parser tells to. Its functions are called with the parser's
// lock held: they must not call it.
type Config struct {
	// Now is the time since the session's start in microseconds.
	Now func() int64
	// Op takes an operation that has ended. An error of it is the parser's.
	Op func(recording.FileOp) error
	// Content takes bytes of files, each before it is delivered: the first Keep
	// bytes of each file that pass, wherever in the file they stand. The bytes are
	// the caller's again when it returns. Not called if Keep is 0.
	Content func(recording.Content) error
	Keep    int64
}

// Parser follows one conversation. Client and Node may be called from one
// goroutine each, at the same time. Its first error is final.
type Parser struct {
	Config

	mu     sync.Mutex
	err    error // sticky
	client direction
	node   direction

	up, down payload // where the content that passes belongs

	begun   bool // the client's INIT has passed
	spoken  bool // the node's VERSION has passed
	largest int  // packet that may come, in bytes after its length

	requests map[uint32]request // not yet answered, by id
	handles  map[string]*file   // that the client may name
	files    map[*file]struct{} // not told yet
	paths    map[string]*file   // of files, the last that was opened by that path
	number   uint32             // of the last file that was opened
	closed   int                // files that were told

	named  int // bytes of paths that are held, see limit.go
	pieces int // bytes of content that came out of order, likewise
}

// New returns a Parser at a conversation's beginning.
func New(c Config) *Parser {
	p := &Parser{
		Config: c, largest: maxPacket,
		requests: map[uint32]request{}, handles: map[string]*file{}, files: map[*file]struct{}{},
		paths: map[string]*file{},
	}
	p.client = direction{side: recording.Client, measure: p.measureRequest, head: p.request, pass: p.written}
	p.node = direction{side: recording.Node, measure: p.measureAnswer, head: p.answer, pass: p.read}
	return p
}

// Client follows bytes that the client has sent. They may go on if it returns
// nil. An error is a *Malformed, or what Op or Content returned.
func (p *Parser) Client(b []byte) error { return p.feed(&p.client, b) }

// Node is Client for bytes that the node has sent.
func (p *Parser) Node(b []byte) error { return p.feed(&p.node, b) }

func (p *Parser) feed(d *direction, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = d.feed(b, p.largest)
	}
	return p.err
}

// End tells what was begun and not ended: files that were never closed, and
// requests that were never answered. It is called once, when no more is fed.
func (p *Parser) End() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, r := range p.requests {
		delete(p.requests, id)
		if r.op == nil {
			continue
		}
		r.op.Open, r.op.Code = true, noAnswer
		if err := p.Op(*r.op); err != nil {
			return err
		}
	}
	for f := range p.files {
		if err := p.tell(f); err != nil {
			return err
		}
	}
	return nil
}

// Files is how many files were opened and closed, without directories.
func (p *Parser) Files() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}
