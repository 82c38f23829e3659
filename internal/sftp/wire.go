package sftp

import "encoding/binary"

// Packet types (draft-ietf-secsh-filexfer-02, section 3).
const (
	typeInit     = 1
	typeVersion  = 2
	typeOpen     = 3
	typeClose    = 4
	typeRead     = 5
	typeWrite    = 6
	typeLstat    = 7
	typeFstat    = 8
	typeSetstat  = 9
	typeFsetstat = 10
	typeOpendir  = 11
	typeReaddir  = 12
	typeRemove   = 13
	typeMkdir    = 14
	typeRmdir    = 15
	typeRealpath = 16
	typeStat     = 17
	typeRename   = 18
	typeReadlink = 19
	typeSymlink  = 20

	typeStatus = 101
	typeHandle = 102
	typeData   = 103
	typeName   = 104
	typeAttrs  = 105

	typeExtended      = 200
	typeExtendedReply = 201
)

const version = 3

// Codes of a STATUS (section 7).
const (
	codeOK  = 0
	codeEOF = 1
	// noAnswer is SSH_FX_NO_CONNECTION, which the draft keeps for what a client
	// makes up when no answer comes.
	noAnswer = 6
)

// Flags of an OPEN (section 6.3).
const (
	flagRead   = 0x01
	flagWrite  = 0x02
	flagAppend = 0x04
	flagCreate = 0x08
	flagTrunc  = 0x10
	flagExcl   = 0x20
)

// Flags of attributes (section 5).
const (
	attrSize     = 0x01
	attrOwner    = 0x02
	attrMode     = 0x04
	attrTimes    = 0x08
	attrExtended = 0x80000000
)

// fields reads a packet's fields one after the other. After one that is not
// whole, short is set and everything reads as zero.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if f.short || n > len(f.b) {
		f.short, f.b = true, nil
		return nil
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

func (f *fields) uint32() uint32 {
	if b := f.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (f *fields) uint64() uint64 {
	if b := f.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// string returns a part of the packet.
func (f *fields) string() []byte {
	n := f.uint32()
	if uint64(n) > uint64(len(f.b)) {
		f.short, f.b = true, nil
		return nil
	}
	return f.take(int(n))
}

// attributes are what of a file's attributes is told.
type attributes struct {
	flags uint32
	size  uint64
	mode  uint32
}

func (f *fields) attributes() (a attributes) {
	a.flags = f.uint32()
	if a.flags&attrSize != 0 {
		a.size = f.uint64()
	}
	if a.flags&attrOwner != 0 {
		f.take(8)
	}
	if a.flags&attrMode != 0 {
		a.mode = f.uint32()
	}
	if a.flags&attrTimes != 0 {
		f.take(8)
	}
	if a.flags&attrExtended != 0 {
		for n := f.uint32(); n > 0 && !f.short; n-- {
			f.string()
			f.string()
		}
	}
	return a
}

// end says what is wrong with a packet whose last field was read.
func (f *fields) end() error {
	switch {
	case f.short:
		return bad(Truncated)
	case len(f.b) > 0:
		return bad(Trailing)
	}
	return nil
}
