package find

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Kind is where a line stood, from a closed list.
type Kind string

const (
	Command  Kind = "command"  // of exec, and names of subsystems
	Typed    Kind = "typed"    // at a terminal, as the node echoed it
	Output   Kind = "output"   // of the node
	File     Kind = "file"     // names of files that were carried, and of forwarded destinations
	Identity Kind = "identity" // who, where, as whom
)

// Kinds is the closed list.
func Kinds() []Kind { return []Kind{Command, Typed, Output, File, Identity} }

// Line is something that was said in a session.
type Line struct {
	At   int64  `json:"a"` // milliseconds since the session's start
	Text string `json:"t"` // valid UTF-8, without control characters
}

// Chunk is some lines of one kind, as they are kept.
type Chunk struct {
	Kind  Kind
	Words []string // each once, sorted
	Data  []byte   // Pack of the lines
}

// Limits of a chunk. Small chunks are quick to look through; large ones pack
// better.
const (
	chunkText  = 4 << 10 // bytes of text, at which a chunk is full
	unpackMost = 1 << 20 // bytes that Unpack makes
)

var (
	packer, _   = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(64<<10))
	unpacker, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(unpackMost))
)

// Pack makes a chunk's data.
func Pack(lines []Line) ([]byte, error) {
	text, err := json.Marshal(lines)
	if err != nil {
		return nil, fmt.Errorf("pack lines: %w", err)
	}
	return packer.EncodeAll(text, nil), nil
}

// Unpack reads a chunk's data.
func Unpack(data []byte) ([]Line, error) {
	text, err := unpacker.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack lines: %w", err)
	}
	var lines []Line
	if err := json.Unmarshal(text, &lines); err != nil {
		return nil, fmt.Errorf("unpack lines: %w", err)
	}
	return lines, nil
}

// collector gathers the lines of one kind into chunks.
type collector struct {
	kind   Kind
	lines  []Line
	size   int // bytes in lines
	total  int // bytes that came
	chunks []Chunk
}

func (c *collector) add(l Line) error {
	c.lines = append(c.lines, l)
	if c.size += len(l.Text); c.size < chunkText {
		return nil
	}
	return c.flush()
}

func (c *collector) flush() error {
	if len(c.lines) == 0 {
		return nil
	}
	data, err := Pack(c.lines)
	if err != nil {
		return err
	}
	var words []string
	for _, l := range c.lines {
		words = append(words, Words(l.Text)...)
	}
	slices.Sort(words)
	if words = slices.Compact(words); len(words) > 0 {
		c.chunks = append(c.chunks, Chunk{c.kind, words, data})
	}
	c.lines, c.size = c.lines[:0], 0
	return nil
}

// clean makes text fit for a Line: no control characters, valid UTF-8, at most
// so many bytes.
func clean(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
