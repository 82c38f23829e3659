package sftp

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// headData is the head of a DATA: length, type, id, length of the data.
const headData = prefix + 4 + 4

// measureAnswer is direction.measure.
func (p *Parser) measureAnswer(b []byte) (int, error) {
	if b[4] != typeData {
		return 4 + int(binary.BigEndian.Uint32(b)), nil
	}
	return headData, nil
}

// answer is direction.head.
func (p *Parser) answer(b []byte) (content int, err error) {
	kind := b[4]
	f := fields{b: b[prefix:]}
	if kind == typeVersion {
		return 0, p.spoke(f)
	}
	if !p.spoken {
		return 0, bad(Order)
	}
	id := f.uint32()
	if f.short {
		return 0, bad(Truncated)
	}
	r, asked := p.requests[id]
	if !asked {
		return 0, bad(NoQuestion)
	}
	if !r.takes(kind) {
		return 0, bad(WrongAnswer)
	}
	delete(p.requests, id)
	p.named -= r.named
	switch kind {
	case typeStatus:
		err = p.status(&r, &f)
	case typeData:
		return p.data(&r, &f)
	case typeHandle:
		err = p.opened(&r, &f)
	case typeName:
		err = p.names(&r, &f)
	case typeAttrs:
		a := f.attributes()
		if err = f.end(); err == nil {
			r.op.Size, r.op.Mode = int64(a.size), a.mode
			p.learn(&r, a)
			err = p.Op(*r.op)
		}
	case typeExtendedReply:
		if r.limits {
			// max-packet-length, of four (OpenSSH's PROTOCOL, section 4.8)
			largest := f.uint64()
			p.largest = int(min(max(largest, maxPacket), maxLargest))
		}
		err = p.Op(*r.op)
	}
	return 0, err
}

// spoke follows VERSION, which has no id. A node that spoke another version would
// be read wrongly from here on.
func (p *Parser) spoke(f fields) error {
	if p.spoken || !p.begun {
		return bad(Order)
	}
	p.spoken = true
	if f.uint32() != version {
		return bad(Version)
	}
	for len(f.b) > 0 && !f.short { // extensions that the node has: name and data
		f.string()
		f.string()
	}
	return f.end()
}

// takes says whether a packet of a type can answer r.
func (r *request) takes(kind uint8) bool {
	switch kind {
	case typeStatus:
		return true
	case typeData:
		return r.kind == typeRead
	case typeHandle:
		return r.kind == typeOpen || r.kind == typeOpendir
	case typeName:
		return r.kind == typeReaddir || r.kind == typeRealpath || r.kind == typeReadlink || slices.Contains(r.replies, kind)
	case typeAttrs:
		return r.kind == typeStat || r.kind == typeLstat || r.kind == typeFstat || slices.Contains(r.replies, kind)
	}
	return slices.Contains(r.replies, kind)
}

// brings says whether r, where it works, is answered by something else than a
// STATUS.
func (r *request) brings() bool {
	for _, kind := range []uint8{typeData, typeHandle, typeName, typeAttrs} {
		if r.kind != typeExtended && r.takes(kind) {
			return true
		}
	}
	return false
}

func (p *Parser) status(r *request, f *fields) error {
	code := f.uint32()
	var text []byte
	if len(f.b) > 0 { // old servers leave text and language out
		text = f.string()
	}
	if len(f.b) > 0 {
		f.string()
	}
	if err := f.end(); err != nil {
		return err
	}
	if code == codeOK && r.brings() {
		return bad(WrongAnswer)
	}
	if r.op != nil {
		r.op.Code = code
		if code != codeOK {
			r.op.Text = bytes.Clone(text)
		} else {
			p.changed(r)
		}
		return p.Op(*r.op)
	}
	switch r.kind {
	case typeRead:
		if code == codeEOF {
			r.file.end(r.offset)
		} else {
			r.file.failed(code, text)
		}
		r.file.pending--
	case typeWrite:
		if code == codeOK {
			r.file.op.Write += int64(r.length)
		} else {
			r.file.failed(code, text)
			p.spoil(&r.file.in, Failed)
		}
		r.file.pending--
	case typeReaddir:
		if code != codeEOF {
			r.file.failed(code, text)
		}
		r.file.pending--
	case typeClose:
		r.file.closed = true
		if code != codeOK {
			r.file.failed(code, text)
			p.spoil(&r.file.in, Failed)
		}
	}
	return p.settle(r.file)
}

func (p *Parser) data(r *request, f *fields) (content int, err error) {
	length := f.uint32()
	if f.short {
		return 0, bad(Truncated)
	}
	if length > r.length || r.offset > maxOffset {
		return 0, bad(TooMuchData)
	}
	p.down = payload{r.file, int64(r.offset)}
	if length == 0 {
		r.file.pending--
		return 0, p.settle(r.file)
	}
	return int(length), nil
}

// opened follows a HANDLE.
func (p *Parser) opened(r *request, f *fields) error {
	handle := string(f.string())
	if err := f.end(); err != nil {
		return err
	}
	switch {
	case len(handle) > maxHandle:
		return bad(UnknownHandle)
	case p.handles[handle] != nil:
		return bad(HandleReused)
	case len(p.files) >= maxHandles:
		return bad(TooManyHandles)
	}
	file := newFile(r, handle)
	if !file.dir {
		p.number++
		file.op.File = p.number
		p.paths[string(file.op.Path)] = file
	}
	p.named += r.named // from the request to the file
	p.handles[handle] = file
	p.files[file] = struct{}{}
	return nil
}

// names follows a NAME: the entries of a directory, or one answer.
func (p *Parser) names(r *request, f *fields) error {
	n := f.uint32()
	var first []byte
	for i := uint32(0); i < n && !f.short; i++ {
		name := f.string()
		f.string() // as ls -l would show it
		f.attributes()
		if i == 0 {
			first = name
		}
	}
	if err := f.end(); err != nil {
		return err
	}
	if r.op != nil {
		r.op.Target = bytes.Clone(first)
		return p.Op(*r.op)
	}
	r.file.op.Entries += int(n)
	r.file.pending--
	return p.settle(r.file)
}
