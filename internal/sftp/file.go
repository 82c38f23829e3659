package sftp

import (
	"bytes"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// file is an open file or directory until it is told.
type file struct {
	op     recording.FileOp // as it will be told
	handle string
	named  int // bytes of its paths
	dir    bool
	closed bool // the CLOSE was answered

	pending int   // READ, WRITE and READDIR that are not ended
	writes  int   // that were sent
	size    int64 // as far as the node told, or is known from truncating; -1 where it is not
	eof     int64 // lowest offset at which the node had no more; -1 where it never said so
	in      content
	out     content
}

func newFile(r *request, handle string) *file {
	f := &file{op: *r.op, handle: handle, named: r.named, dir: r.kind == typeOpendir, size: -1, eof: -1}
	if f.op.Flags&flagTrunc != 0 || f.op.Flags&flagCreate != 0 && f.op.Flags&flagExcl != 0 {
		f.size = 0
	}
	return f
}

// sent notes a WRITE.
func (f *file) sent(offset, length int64) {
	f.writes++
	if f.size >= 0 {
		f.size = max(f.size, offset+length)
	}
}

// end notes that there was nothing to read at offset.
func (f *file) end(offset uint64) {
	if at := int64(min(offset, maxOffset)); f.eof < 0 || at < f.eof {
		f.eof = at
	}
}

// failed notes the first thing that did not work.
func (f *file) failed(code uint32, text []byte) {
	if f.op.Code == codeOK {
		f.op.Code, f.op.Text = code, bytes.Clone(text)
	}
}

// learn takes the size from attributes. What the node tells of a file that is
// being written holds only if nothing was on its way.
func (p *Parser) learn(r *request, a attributes) {
	if a.flags&attrSize == 0 || a.size > maxOffset {
		return
	}
	switch f := r.file; {
	case f != nil && f.writes == r.writes && int64(f.op.Write) == f.in.bytes:
		f.size = int64(a.size)
	case r.kind == typeStat || r.kind == typeLstat:
		// sshfs asks by path, together with the OPEN.
		if f := p.paths[string(r.op.Path)]; f != nil && f.size < 0 && f.writes == 0 {
			f.size = int64(a.size)
		}
	}
}

// changed notes what an operation that worked did to the content of open files.
func (p *Parser) changed(r *request) {
	switch {
	case r.other != nil: // copy-data
		r.other.writes++
		p.spoil(&r.other.in, Changed)
	case r.op.Op == "setstat" && r.op.Flags&attrSize != 0:
		f := r.file
		if f == nil {
			f = p.paths[string(r.op.Path)]
		}
		if f != nil {
			p.resize(f, r.op.Size, r.file != nil && f.writes == r.writes)
		}
	}
}

// resize notes that the node cut or lengthened a file to size; sure says that no
// WRITE was sent after that was asked.
func (p *Parser) resize(f *file, size int64, sure bool) {
	switch {
	case size < 0 || f.op.Write != f.in.bytes:
		p.spoil(&f.in, Changed)
	case f.writes == 0: // cut before anything is written
	case !sure || size < f.in.next || len(f.in.held) > 0:
		p.spoil(&f.in, Changed)
	}
	f.size = size
}

// settle tells f when it is closed and nothing of it is under way.
func (p *Parser) settle(f *file) error {
	if !f.closed || f.pending > 0 {
		return nil
	}
	return p.tell(f)
}

// tell tells f, and forgets it.
func (p *Parser) tell(f *file) error {
	delete(p.files, f)
	if p.handles[f.handle] == f {
		delete(p.handles, f.handle)
	}
	if p.paths[string(f.op.Path)] == f {
		delete(p.paths, string(f.op.Path))
	}
	p.named -= f.named
	op := f.op
	op.Open = !f.closed
	if !f.dir {
		p.closed++
		f.sum(&op)
	}
	p.drop(&f.in)
	p.drop(&f.out)
	return p.Op(op)
}

// sum fills in what is known of f's content.
func (f *file) sum(op *recording.FileOp) {
	op.Read = f.out.bytes
	op.Op = "read"
	c, end := &f.out, f.eof
	if f.writes > 0 || op.Flags&(flagTrunc|flagCreate) != 0 || op.Flags&flagRead == 0 {
		op.Op = "write"
		c, end = &f.in, f.size
	}
	whole := end == c.next || c.next > 0 && f.size == c.next
	switch {
	case c.why != "":
		op.Unhashed = c.why
	case op.Open && (op.Op == "write" || !whole):
		// Of what was read it does not matter; lftp just hangs up.
		if c.bytes > 0 {
			op.Unhashed = Unclosed
		}
	case len(c.held) > 0:
		op.Unhashed = Gaps
	case whole:
		op.SHA256 = c.digest()
	case c.bytes > 0:
		op.Unhashed = Part
	}
	switch {
	case whole:
		op.Size = c.next
	case f.size > 0:
		op.Size = f.size
	}
}
