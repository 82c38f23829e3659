package sshdconf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Limits of what is read. sshd's own is a depth of 16 (servconf.c,
// SERVCONF_MAX_DEPTH).
const (
	maxDepth = 16
	maxFiles = 1000
	maxFile  = 1 << 20 // bytes
)

// sshDir is where sshd looks for an Include that is no absolute path. It is
// compiled into sshd; this is what every distribution has.
const sshDir = "/etc/ssh"

// Tree is a configuration with everything that it includes, in memory.
type Tree struct {
	root  *file
	files int
}

type file struct {
	path     string
	lines    []Line
	includes map[int][]*file // by index into lines, in the order in which sshd reads
}

// Overlay is what a Tree has in place of files on disk: nil for a file that is
// to be taken as absent. Paths are absolute and clean.
type Overlay map[string][]byte

// Load reads the configuration at path.
func Load(path string, over Overlay) (*Tree, error) {
	t := &Tree{}
	root, err := t.load(path, over, 0)
	if err != nil {
		return nil, err
	}
	t.root = root
	return t, nil
}

func (t *Tree) load(path string, over Overlay, depth int) (*file, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("read %s: included more than %d deep", path, maxDepth)
	}
	if t.files++; t.files > maxFiles {
		return nil, fmt.Errorf("read %s: more than %d files", path, maxFiles)
	}
	data, err := over.read(path)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, lines: parse(data), includes: map[int][]*file{}}
	for i, l := range f.lines {
		if l.Keyword != "include" {
			continue
		}
		for _, pattern := range l.Args {
			paths, err := over.glob(pattern)
			if err != nil {
				return nil, fmt.Errorf("read %s line %d: %w", path, i+1, err)
			}
			for _, p := range paths {
				included, err := t.load(p, over, depth+1)
				if errors.Is(err, fs.ErrNotExist) {
					continue // removed since the glob
				}
				if err != nil {
					return nil, err
				}
				f.includes[i] = append(f.includes[i], included)
			}
		}
	}
	return f, nil
}

func (o Overlay) read(path string) ([]byte, error) {
	if data, ok := o[path]; ok {
		if data == nil {
			return nil, fmt.Errorf("read %s: %w", path, fs.ErrNotExist)
		}
		return data, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("read %s: no regular file of at most %d bytes", path, maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return data, nil
}

// glob returns what an Include's pattern names, sorted as sshd's glob(3) in the
// C locale sorts it.
func (o Overlay) glob(pattern string) ([]string, error) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(sshDir, pattern)
	}
	found, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	paths := slices.DeleteFunc(found, func(p string) bool {
		_, ours := o[p]
		return ours
	})
	for p, data := range o {
		if matched, _ := filepath.Match(pattern, p); matched && data != nil {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return paths, nil
}

// Settings lists every line that sets something in the order in which sshd
// reads them.
func (t *Tree) Settings() []Setting {
	var all []Setting
	t.root.settings("", &all)
	return all
}

func (f *file) settings(match string, all *[]Setting) {
	for i, l := range f.lines {
		switch {
		case l.Keyword == "":
		case l.Keyword == "include":
			for _, included := range f.includes[i] {
				included.settings(match, all) // a Match block ends with its file
			}
		case l.Keyword == "match":
			match = strings.Join(l.Args, " ")
		default:
			*all = append(*all, Setting{Line: l, File: f.path, Number: i + 1, Match: match})
		}
	}
}

// Includes says whether path is read outside of every Match block.
func (t *Tree) Includes(path string) bool { return t.root.reads(path) }

func (f *file) reads(path string) bool {
	for i, l := range f.lines {
		if l.Keyword == "match" {
			return false
		}
		for _, included := range f.includes[i] {
			if included.path == path || included.reads(path) {
				return true
			}
		}
	}
	return false
}

// Copy writes the tree into dir, which exists and is empty, and returns the path
// of the copy of its root.
func (t *Tree) Copy(dir string) (string, error) {
	n := 0
	return t.root.copy(dir, &n)
}

func (f *file) copy(dir string, n *int) (string, error) {
	path := filepath.Join(dir, fmt.Sprintf("%03d-%s", *n, filepath.Base(f.path)))
	*n++
	var b bytes.Buffer
	for i, l := range f.lines {
		if l.Keyword != "include" {
			b.WriteString(l.Raw)
			b.WriteByte('\n')
			continue
		}
		var copies []string
		for _, included := range f.includes[i] {
			c, err := included.copy(dir, n)
			if err != nil {
				return "", err
			}
			copies = append(copies, `"`+c+`"`)
		}
		if len(copies) == 0 {
			b.WriteString("# nothing included\n")
			continue
		}
		b.WriteString("Include " + strings.Join(copies, " ") + "\n")
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("copy configuration: %w", err)
	}
	return path, nil
}
