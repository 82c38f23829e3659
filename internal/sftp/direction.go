package sftp

import (
	"encoding/binary"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// direction cuts one side's bytes into packets. Of a packet that carries content
// only the head is put together; the content passes in the pieces in which it
// came.
type direction struct {
	side recording.Side
	// measure says how long the head of a packet is, given at least its first five
	// bytes; more than b means that more is needed, and perhaps asked again.
	measure func(b []byte) (int, error)
	// head takes a whole head and says how many bytes of content follow it.
	head func(b []byte) (content int, err error)
	// pass takes a piece of that content; last is true for the final one.
	pass func(b []byte, last bool) error

	held []byte // of a head that came in pieces
	want int    // so many bytes of held are needed to go on
	left int    // content of the packet that is still to come
	at   int64  // bytes before the present packet
	now  uint8  // its type
}

// prefix is a packet's length and type.
const prefix = 4 + 1

func (d *direction) feed(b []byte, largest int) error {
	for len(b) > 0 {
		if d.left > 0 {
			n := min(d.left, len(b))
			d.left -= n
			if err := d.pass(b[:n], d.left == 0); err != nil {
				return d.place(err)
			}
			b = b[n:]
			continue
		}
		head, whole := b, len(d.held) == 0
		if !whole {
			n := min(d.want-len(d.held), len(b))
			d.held, b = append(d.held, b[:n]...), b[n:]
			if len(d.held) < d.want {
				return nil
			}
			head = d.held
		}
		need, err := d.need(head, largest)
		if err != nil {
			return d.place(err)
		}
		if need > len(head) {
			d.want = need
			if whole {
				d.held, b = append(d.held, b...), nil
			}
			continue
		}
		if whole {
			b = b[need:]
		}
		if err := d.packet(head[:need]); err != nil {
			return d.place(err)
		}
	}
	return nil
}

// need is how many bytes of a packet must be there before it can be taken.
func (d *direction) need(b []byte, largest int) (int, error) {
	if len(b) < prefix {
		return prefix, nil
	}
	length := int64(binary.BigEndian.Uint32(b))
	d.now = b[4]
	if length < 1 || length > int64(largest) {
		return 0, bad(Length)
	}
	need, err := d.measure(b)
	if err == nil && need > 4+int(length) {
		err = bad(Truncated)
	}
	return need, err
}

// packet takes a whole head, and gives back what a large one took.
func (d *direction) packet(head []byte) error {
	length := int(binary.BigEndian.Uint32(head))
	content, err := d.head(head)
	if err != nil {
		return err
	}
	switch {
	case len(head)+content > 4+length:
		return bad(Truncated)
	case len(head)+content < 4+length:
		return bad(Trailing)
	}
	d.held = d.held[:0]
	if cap(d.held) > maxAtRest {
		d.held = nil
	}
	d.at += 4 + int64(length)
	d.left = content
	return nil
}

// place says where a cause was met.
func (d *direction) place(err error) error {
	if cause, ok := err.(bad); ok {
		return &Malformed{Cause: Cause(cause), From: d.side, At: d.at, Type: d.now}
	}
	return err
}
