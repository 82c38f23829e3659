package sftp

import (
	"bytes"
	"encoding/binary"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// request waits for its answer.
type request struct {
	kind   uint8
	file   *file  // that its handle names; nil where it has none
	offset uint64 // of READ
	length uint32 // of READ and WRITE
	writes int    // that file had seen when this was asked
	named  int    // bytes of paths that it holds
	// op is told with the answer; nil for READ, WRITE, READDIR and CLOSE, which
	// are told with their file.
	op      *recording.FileOp
	replies []uint8 // of EXTENDED: what may answer it beside STATUS
	limits  bool    // limits@openssh.com
	other   *file   // of copy-data: that it writes to
}

// headWrite is the head of a WRITE without its handle: length, type, id, length
// of the handle, offset, length of the data.
const headWrite = prefix + 4 + 4 + 8 + 4

// measureRequest is direction.measure.
func (p *Parser) measureRequest(b []byte) (int, error) {
	if b[4] != typeWrite {
		return 4 + int(binary.BigEndian.Uint32(b)), nil
	}
	const named = prefix + 4 + 4
	if len(b) < named {
		return named, nil
	}
	handle := binary.BigEndian.Uint32(b[prefix+4:])
	if handle > maxHandle {
		return 0, bad(UnknownHandle)
	}
	return headWrite + int(handle), nil
}

// request is direction.head.
func (p *Parser) request(b []byte) (content int, err error) {
	kind := b[4]
	f := fields{b: b[prefix:]}
	if kind == typeInit {
		return 0, p.init(f)
	}
	if !p.begun {
		return 0, bad(Order)
	}
	id := f.uint32()
	if f.short {
		return 0, bad(Truncated)
	}
	if _, waits := p.requests[id]; waits {
		return 0, bad(IDReused)
	}
	if len(p.requests) >= maxRequests {
		return 0, bad(TooManyRequests)
	}
	if kind == typeRead || kind == typeWrite {
		return p.transfer(id, kind, f)
	}
	return 0, p.other(id, kind, f)
}

// other follows a request that carries no content.
func (p *Parser) other(id uint32, kind uint8, f fields) (err error) {
	r := request{kind: kind}
	switch kind {
	case typeClose, typeReaddir:
		err = p.handled(&r, &f)
	default:
		r.op = &recording.FileOp{Began: p.Now()}
		err = p.ask(&r, &f)
	}
	if err == nil {
		err = f.end()
	}
	if err != nil {
		return err
	}
	if p.named += r.named; p.named > maxNamed {
		return bad(TooManyNames)
	}
	p.requests[id] = r
	return nil
}

// name reads a path that is told later.
func (r *request) name(f *fields) []byte {
	b := bytes.Clone(f.string())
	r.named += len(b)
	return b
}

// set tells what attributes a request sets.
func set(op *recording.FileOp, a attributes) {
	op.Flags, op.Mode, op.Size = a.flags, a.mode, int64(a.size)
}

// init follows INIT (section 4), which has no id. What version the two speak, the
// answer says.
func (p *Parser) init(f fields) error {
	if p.begun {
		return bad(Order)
	}
	p.begun = true
	if f.uint32() < version {
		return bad(Version)
	}
	for len(f.b) > 0 && !f.short { // extensions of the client: name and data
		f.string()
		f.string()
	}
	return f.end()
}

// handle finds the open file that a request names.
func (p *Parser) handle(f *fields) (*file, error) {
	h := f.string()
	if f.short {
		return nil, bad(Truncated)
	}
	// A client that guessed a handle could send content before the node has told
	// whose it is.
	open := p.handles[string(h)]
	if open == nil {
		return nil, bad(UnknownHandle)
	}
	return open, nil
}

// transfer follows READ and WRITE (section 6.4). It allocates nothing: there is
// one of them for every 32 KiB.
func (p *Parser) transfer(id uint32, kind uint8, f fields) (content int, err error) {
	r := request{kind: kind}
	if r.file, err = p.handle(&f); err != nil {
		return 0, err
	}
	r.offset, r.length = f.uint64(), f.uint32()
	if err := f.end(); err != nil {
		return 0, err
	}
	if r.file.dir {
		return 0, bad(WrongHandle)
	}
	if kind == typeWrite && r.offset > maxOffset {
		return 0, bad(TooMuchData)
	}
	r.file.pending++
	p.requests[id] = r
	if kind == typeRead {
		return 0, nil
	}
	r.file.sent(int64(r.offset), int64(r.length))
	p.up = payload{r.file, int64(r.offset)}
	return int(r.length), nil
}

// handled follows CLOSE and READDIR.
func (p *Parser) handled(r *request, f *fields) (err error) {
	if r.file, err = p.handle(f); err != nil {
		return err
	}
	if r.kind == typeReaddir {
		if !r.file.dir {
			return bad(WrongHandle)
		}
		r.file.pending++
		return nil
	}
	// From here on the node may give the handle to another file.
	delete(p.handles, r.file.handle)
	return nil
}

// ask follows a request that is one operation.
func (p *Parser) ask(r *request, f *fields) (err error) {
	op := r.op
	var a attributes
	switch r.kind {
	case typeOpen:
		op.Path, op.Flags, a = r.name(f), f.uint32(), f.attributes()
		op.Mode = a.mode
		op.Op = "read"
		if op.Flags&flagRead == 0 {
			op.Op = "write"
		}
	case typeOpendir:
		op.Op, op.Path = "list", r.name(f)
	case typeLstat, typeStat:
		op.Op, op.Path = "stat", r.name(f)
	case typeFstat:
		op.Op = "stat"
		err = p.about(r, f)
	case typeSetstat:
		op.Op, op.Path = "setstat", r.name(f)
		set(op, f.attributes())
	case typeFsetstat:
		op.Op = "setstat"
		if err = p.about(r, f); err == nil {
			set(op, f.attributes())
		}
	case typeRemove:
		op.Op, op.Path = "remove", r.name(f)
	case typeRmdir:
		op.Op, op.Path = "rmdir", r.name(f)
	case typeMkdir:
		op.Op, op.Path = "mkdir", r.name(f)
		set(op, f.attributes())
	case typeRealpath:
		op.Op, op.Path = "realpath", r.name(f)
	case typeReadlink:
		op.Op, op.Path = "readlink", r.name(f)
	case typeRename:
		op.Op, op.Path, op.Target = "rename", r.name(f), r.name(f)
	case typeSymlink:
		// OpenSSH's sftp-server and everybody with it have the two the other way
		// round than the draft (its PROTOCOL, section 4.1): what the link says
		// first, then the link.
		op.Op, op.Target, op.Path = "symlink", r.name(f), r.name(f)
	case typeExtended:
		err = p.extended(r, f)
	default:
		err = bad(Type)
	}
	return err
}

// about reads the handle of an operation that is told with its file's path.
func (p *Parser) about(r *request, f *fields) (err error) {
	if r.file, err = p.handle(f); err == nil {
		r.op.Path = r.file.op.Path
		r.writes = r.file.writes
	}
	return err
}
