package recording

import (
	"encoding/binary"
	"fmt"
)

// contentHead is the size of what stands before the bytes, in bytes.
const contentHead = 1 + 4 + 8

// Content is bytes of a file that was carried by SFTP, kept because a role asks
// for them. It stands in a frame of its channel before the bytes were delivered.
//
//	offset  size
//	0       1     from whom they came: c, they were written; n, they were read
//	1       4     File
//	5       8     Offset
//	13            Bytes, at least one
type Content struct {
	From   Side   // Client or Node
	File   uint32 // FileOp.File, which follows when the file is closed
	Offset uint64 // in the file, in bytes
	Bytes  []byte
}

// Append adds the payload of a frame of KindContent to b.
func (c Content) Append(b []byte) []byte {
	b = append(b, c.From...)
	b = binary.BigEndian.AppendUint32(b, c.File)
	b = binary.BigEndian.AppendUint64(b, c.Offset)
	return append(b, c.Bytes...)
}

// ParseContent reads the payload of a frame of KindContent. Bytes is a part of b.
func ParseContent(b []byte) (Content, error) {
	if len(b) <= contentHead {
		return Content{}, fmt.Errorf("content of %d bytes is too short", len(b))
	}
	c := Content{
		From: Side(b[:1]), File: binary.BigEndian.Uint32(b[1:]), Offset: binary.BigEndian.Uint64(b[5:]), Bytes: b[contentHead:],
	}
	if c.From != Client && c.From != Node || c.File == 0 {
		return Content{}, fmt.Errorf("content of file %d, from %q", c.File, c.From)
	}
	return c, nil
}
