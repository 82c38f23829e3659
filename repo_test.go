package main

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The rules of the house, each with its reason, run as tests.

const module = "github.com/sallyport-ssh/sallyport/"

// source is one Go file of the product's module.
type source struct {
	path  string // from the root, with slashes
	dir   string // its package's folder, "." for the root
	test  bool
	lines int
	file  *ast.File
	text  string
}

func (s source) imports() []string {
	var out []string
	for _, i := range s.file.Imports {
		out = append(out, strings.Trim(i.Path.Value, `"`))
	}
	return out
}

// sources parses every Go file but those of nested modules.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || exists(filepath.Join(path, "go.mod"))) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		all = append(all, source{path, filepath.ToSlash(filepath.Dir(path)), strings.HasSuffix(path, "_test.go"), strings.Count(string(text), "\n"), f, string(text)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	docs := map[string]int{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if _, seen := docs[s.dir]; !seen {
			docs[s.dir] = 0
		}
		if s.file.Doc != nil {
			docs[s.dir]++
		}
	}
	for dir, n := range docs {
		if n != 1 {
			t.Errorf("package %s has %d package comments, wants one", dir, n)
		}
	}
}

func TestServersStateTheirSecurityModel(t *testing.T) {
	for _, dir := range []string{"ca", "ca/internal/signer", "proxy", "agent"} {
		found := false
		for _, s := range sources(t) {
			found = found || s.dir == dir && s.file.Doc != nil && strings.Contains(s.file.Doc.Text(), "# Security model")
		}
		if !found {
			t.Errorf("package %s does not state its security model", dir)
		}
	}
}

func TestPartsMeetInInternalAlone(t *testing.T) {
	parts := []string{"ca", "agent", "login", "proxy"}
	within := func(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
	for _, s := range sources(t) {
		for _, imported := range s.imports() {
			to, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			for _, part := range parts {
				if !within(to, part) || within(s.dir, part) || s.dir == "." {
					continue
				}
				t.Errorf("%s imports %s: parts are wired in main and speak over the API", s.path, to)
			}
			if within(to, "internal/rig") && !s.test && !within(s.dir, "internal/rig") && !within(s.dir, "internal/demo") && !within(s.dir, "internal/bench") {
				t.Errorf("%s imports %s: the product does not know its test rig", s.path, to)
			}
		}
	}
}

func TestPurePackagesReachNoNetworkDatabaseOrClock(t *testing.T) {
	pure := []string{"internal/id", "internal/cert", "internal/krl", "internal/policy", "internal/sshsig", "internal/recording", "internal/preamble", "internal/sftp", "internal/transfer"}
	banned := []string{"net", "net/http", "database/sql", "os/exec", "log", "log/slog"}
	for _, s := range sources(t) {
		if s.test || !slices.Contains(pure, s.dir) {
			continue
		}
		for _, imported := range s.imports() {
			if slices.Contains(banned, imported) {
				t.Errorf("%s imports %s: the package is pure, its caller brings the world", s.path, imported)
			}
		}
		if strings.Contains(s.text, "time.Now(") {
			t.Errorf("%s asks the clock: its caller brings the time", s.path)
		}
	}
}

func TestNoPackageIsAGrabBag(t *testing.T) {
	for _, s := range sources(t) {
		switch s.file.Name.Name {
		case "util", "utils", "common", "helpers", "types", "misc", "base":
			t.Errorf("%s: package %s says nothing of what is in it", s.path, s.file.Name.Name)
		}
	}
}

func TestNothingHappensAtImport(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: wiring is main's", s.path)
			}
		}
	}
}

func TestAFileIsOneNoun(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test && s.lines > 500 {
			t.Errorf("%s has %d lines: look for the second noun", s.path, s.lines)
		}
	}
}

var made = regexp.MustCompile(`fault\.Reason\("[^"]`)

func TestReasonsComeFromTheClosedList(t *testing.T) {
	for _, s := range sources(t) {
		if s.dir == "internal/fault" || s.path == "internal/wire/problem.go" || s.test {
			continue
		}
		if made.MatchString(s.text) {
			t.Errorf("%s makes a reason: internal/fault/reason.go is the list", s.path)
		}
	}
}

func TestNoHostKeyGoesUnverified(t *testing.T) {
	for _, s := range sources(t) {
		if s.path != "repo_test.go" && strings.Contains(s.text, "InsecureIgnoreHostKey") && !strings.HasPrefix(s.dir, "internal/rig") && !strings.HasPrefix(s.dir, "internal/bench") && !s.test {
			t.Errorf("%s ignores host keys", s.path)
		}
	}
}

// TestDependenciesHaveTheirReason: each direct dependency stands in
// CONTRIBUTING.md, none is replaced.
func TestDependenciesHaveTheirReason(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	contributing, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		if strings.HasPrefix(line, "replace") {
			t.Errorf("go.mod replaces a module: %s", line)
		}
		f := strings.Fields(line)
		if len(f) != 2 || !strings.Contains(f[0], "/") || strings.Contains(line, "// indirect") {
			continue
		}
		if !strings.Contains(string(contributing), "`"+f[0]+"`") {
			t.Errorf("CONTRIBUTING.md gives no reason for %s", f[0])
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	command = regexp.MustCompile("`make ([a-z]+)")
)

// TestTheFrontDoorOpens: links of the prose lead somewhere, and its make targets
// exist.
func TestTheFrontDoorOpens(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		f, err := os.Open(doc)
		if err != nil {
			t.Error(err)
			continue
		}
		in := bufio.NewScanner(f)
		for in.Scan() {
			for _, m := range link.FindAllStringSubmatch(in.Text(), -1) {
				if !strings.Contains(m[1], "://") && !exists(m[1]) {
					t.Errorf("%s links to %s, which is not there", doc, m[1])
				}
			}
			for _, m := range command.FindAllStringSubmatch(in.Text(), -1) {
				if !strings.Contains(string(makefile), "\n"+m[1]+":") {
					t.Errorf("%s says make %s, which the Makefile does not know", doc, m[1])
				}
			}
		}
		f.Close()
	}
}
