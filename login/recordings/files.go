package recordings

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/login/sessions"
)

// keptFile is a row of files.json: a file that was carried, and what was kept of
// it.
type keptFile struct {
	Name    string `json:"name"` // in the folder
	Channel uint32 `json:"channel"`
	Path    []byte `json:"path"`  // on the node, raw; base64
	Shown   string `json:"shown"` // the same, printable
	From    string `json:"from"`  // client: it was written to the node; node: it was read
	Size    int64  `json:"size"`  // as far as it is known
	Kept    int64  `json:"kept"`  // bytes in the folder
	SHA256  []byte `json:"sha256,omitempty"`
	// Whole says that all of it was kept: the bytes in the folder have SHA256.
	Whole bool `json:"whole"`

	file *os.File
}

// writeFiles makes a folder with the content that was kept of files, and
// files.json, which says what each of them was. Names are ours: those on the node
// may be anything.
func writeFiles(path string, r *recording.Recording) error {
	parent, name := filepath.Split(path)
	if _, err := os.Lstat(path); err == nil {
		return fault.New(fault.Conflict, fault.BadRequest, "%s is there already", path).Then("name another folder with -o")
	}
	dir, err := os.MkdirTemp(parent, "."+name+".part-*") // mode 0700
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir) // nothing, after the rename
	f := files{dir: dir, open: map[fileKey]*keptFile{}}
	defer f.close()
	for {
		frame, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = f.frame(frame)
		}
		if err != nil {
			return sessions.Readable(err)
		}
	}
	if len(f.list) == 0 {
		return fault.New(fault.Missing, fault.NotFound, "no content of files was kept in this session").
			Then("a role keeps it: recording: { files: 10MB }")
	}
	if err := f.finish(); err != nil {
		return err
	}
	if err := os.Rename(dir, path); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}

// fileKey is by what content frames name a file.
type fileKey struct {
	channel uint32
	file    uint32
	from    recording.Side
}

type files struct {
	dir  string
	open map[fileKey]*keptFile
	list []*keptFile
}

// frame takes in a frame: content goes to its file, an operation says what the
// file was.
func (f *files) frame(frame recording.Frame) error {
	switch frame.Kind {
	case recording.KindContent:
		c, err := recording.ParseContent(frame.Payload)
		if err != nil {
			return err
		}
		return f.content(frame.Channel, c)
	case recording.KindFile:
		var op recording.FileOp
		if err := frame.Decode(&op); err != nil {
			return err
		}
		for _, from := range []recording.Side{recording.Client, recording.Node} {
			key := fileKey{frame.Channel, op.File, from}
			if k := f.open[key]; k != nil && op.File != 0 {
				k.Path, k.Shown, k.Size, k.SHA256 = op.Path, recording.Printable(op.Path), op.Size, op.SHA256
				delete(f.open, key)
				if err := f.settle(k); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (f *files) content(channel uint32, c recording.Content) error {
	key := fileKey{channel, c.File, c.From}
	k := f.open[key]
	if k == nil {
		k = &keptFile{Name: fmt.Sprintf("%d-%d", channel, c.File), Channel: channel, From: c.From.String()}
		if c.From == recording.Node {
			k.Name += ".read"
		} else {
			k.Name += ".written"
		}
		var err error
		if k.file, err = os.OpenFile(filepath.Join(f.dir, k.Name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return fmt.Errorf("write kept file: %w", err)
		}
		f.open[key] = k
		f.list = append(f.list, k)
	}
	if int64(c.Offset) < 0 {
		return fmt.Errorf("content of file %d at offset %d", c.File, c.Offset)
	}
	if _, err := k.file.WriteAt(c.Bytes, int64(c.Offset)); err != nil {
		return fmt.Errorf("write kept file: %w", err)
	}
	k.Kept += int64(len(c.Bytes))
	return nil
}

// settle closes a file of which everything is known, and gives it the end of its
// name on the node, as far as that is harmless.
func (f *files) settle(k *keptFile) error {
	h := sha256.New()
	_, err := io.Copy(h, io.NewSectionReader(k.file, 0, 1<<62))
	if err = errors.Join(err, k.file.Close()); err != nil {
		return fmt.Errorf("read kept file: %w", err)
	}
	k.file = nil
	k.Whole = k.SHA256 != nil && bytes.Equal(h.Sum(nil), k.SHA256)
	name := k.Name
	if base := harmlessName(k.Path); base != "" {
		k.Name += "-" + base
	}
	if err := os.Rename(filepath.Join(f.dir, name), filepath.Join(f.dir, k.Name)); err != nil {
		return fmt.Errorf("name kept file: %w", err)
	}
	return nil
}

// finish settles files of which the end was cut off, and writes files.json.
func (f *files) finish() error {
	for _, k := range f.open {
		if err := f.settle(k); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(f.list, "", "  ")
	if err != nil {
		return fmt.Errorf("write files.json: %w", err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "files.json"), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write files.json: %w", err)
	}
	return nil
}

// close ends what was left open by an error.
func (f *files) close() {
	for _, k := range f.open {
		if k.file != nil {
			k.file.Close()
		}
	}
}

// harmlessName is the last part of a path, of letters, digits, dots and dashes, at
// most 64 bytes.
func harmlessName(path []byte) string {
	base := path[bytes.LastIndexByte(path, '/')+1:]
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, string(base))
	return name[max(0, len(name)-64):]
}
