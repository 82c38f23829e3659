package sessions

import (
	"io"

	"github.com/sallyport-ssh/sallyport/internal/recording/export"
)

// key is what a key press means.
type key uint8

const (
	keyNone key = iota
	keyOther
	keyPause
	keyQuit
	keyForward
	keyBack
	keyFaster
	keySlower
)

// listen reads keys from a terminal in raw mode. Its goroutine ends with the
// terminal or the process: a read of a terminal cannot be called off.
func listen(r io.Reader) <-chan key {
	keys := make(chan key)
	go func() {
		defer close(keys)
		var scanner export.Scanner
		buf := make([]byte, 256)
		for {
			n, err := r.Read(buf)
			scanner.Scan(buf[:n], func(t export.Token) {
				for _, k := range meaning(t) {
					keys <- k
				}
			})
			if err != nil {
				return
			}
		}
	}()
	return keys
}

// meaning of a token that a terminal sent. What a terminal answers to a query is
// no key.
func meaning(t export.Token) []key {
	var list []key
	switch t.Kind {
	case export.Text:
		for _, c := range t.Bytes {
			switch c {
			case ' ':
				list = append(list, keyPause)
			case 'q', 'Q':
				list = append(list, keyQuit)
			}
		}
	case export.Control:
		if c := t.Bytes[0]; c == 0x03 || c == 0x04 || c == 0x1c { // Ctrl-C, Ctrl-D, Ctrl-\
			list = append(list, keyQuit)
		}
	case export.Sequence:
		if k, ok := arrows[t.Final]; ok && len(t.Params) == 0 {
			list = append(list, k)
		}
	}
	return list
}

var arrows = map[byte]key{'A': keyFaster, 'B': keySlower, 'C': keyForward, 'D': keyBack}
