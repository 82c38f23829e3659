package transfer

import "bytes"

// Bounds of a command that is split; longer ones have no name.
const (
	maxCommand = 64 << 10 // bytes
	maxWords   = 1024
)

// split cuts a command into words as a POSIX shell does (XCU, section 2.2). simple
// is false where the shell would do more than that.
func split(command []byte) (words [][]byte, simple bool) {
	if len(command) > maxCommand {
		return nil, false
	}
	var word []byte
	in := false // in a word
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch c {
		case ' ', '\t':
			if in {
				words, word, in = append(words, word), nil, false
			}
			continue
		case '\'':
			end := bytes.IndexByte(command[i+1:], '\'')
			if end < 0 {
				return nil, false
			}
			word = append(word, command[i+1:i+1+end]...)
			i += end + 1
		case '"':
			n, ok := double(command[i+1:], &word)
			if !ok {
				return nil, false
			}
			i += n
		case '\\':
			i++
			if i == len(command) || command[i] == '\n' {
				return nil, false
			}
			word = append(word, command[i])
		case '#':
			if !in {
				return nil, false
			}
			word = append(word, c)
		case '~', '*', '?', '[', '{':
			if len(words) == 0 { // what runs would be computed
				return nil, false
			}
			word = append(word, c)
		case '=':
			if len(words) == 0 { // an assignment
				return nil, false
			}
			word = append(word, c)
		case ';', '&', '|', '<', '>', '(', ')', '$', '`', '\n', '\r', 0:
			return nil, false
		default:
			word = append(word, c)
		}
		in = true
		if len(words) >= maxWords {
			return nil, false
		}
	}
	if in {
		words = append(words, word)
	}
	return words, true
}

// double reads what stands in double quotes, up to and with the closing one.
func double(b []byte, word *[]byte) (n int, ok bool) {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '"':
			return i + 1, true
		case '$', '`':
			return 0, false
		case '\\':
			if i++; i == len(b) || b[i] == '\n' {
				return 0, false
			}
			if bytes.IndexByte([]byte("$`\"\\"), b[i]) < 0 {
				*word = append(*word, '\\')
			}
			*word = append(*word, b[i])
		default:
			*word = append(*word, c)
		}
	}
	return 0, false
}
