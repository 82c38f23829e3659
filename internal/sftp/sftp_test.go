package sftp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

func TestEachOperationIsToldWithItsResult(t *testing.T) {
	attrs := raw("\x00\x00\x00\x0d" + "\x00\x00\x00\x00\x00\x00\x00\x2a" + "\x00\x00\x81\xa4" + "\x00\x00\x00\x01\x00\x00\x00\x02") // 42, 0644, times
	type op = recording.FileOp
	for _, test := range []struct {
		name   string
		ask    []byte
		answer []byte
		want   op
	}{
		{"a stat", packet(typeStat, 9, "/a"), packet(typeAttrs, 9, attrs), op{Op: "stat", Path: []byte("/a"), Size: 42, Mode: 0o100644}},
		{"a stat of nothing", packet(typeLstat, 9, "/a"), packet(typeStatus, 9, 2, "No such file", ""), op{Op: "stat", Path: []byte("/a"), Code: 2, Text: []byte("No such file")}},
		{"a status without text", packet(typeRemove, 9, "/a"), packet(typeStatus, 9, 0), op{Op: "remove", Path: []byte("/a")}},
		{"an open that is refused", packet(typeOpen, 9, "/a", flagWrite|flagCreate, raw("\x00\x00\x00\x04\x00\x00\x01\xa4")), packet(typeStatus, 9, 3, "no", "en"),
			op{Op: "write", Path: []byte("/a"), Flags: flagWrite | flagCreate, Mode: 0o644, Code: 3, Text: []byte("no")}},
		{"a directory that cannot be listed", packet(typeOpendir, 9, "/a"), packet(typeStatus, 9, 3, "no", ""), op{Op: "list", Path: []byte("/a"), Code: 3, Text: []byte("no")}},
		{"a setstat", packet(typeSetstat, 9, "/a", attrs), packet(typeStatus, 9, 0, "", ""), op{Op: "setstat", Path: []byte("/a"), Flags: 0x0d, Size: 42, Mode: 0o100644}},
		{"a mkdir", packet(typeMkdir, 9, "/a", none), packet(typeStatus, 9, 0, "", ""), op{Op: "mkdir", Path: []byte("/a")}},
		{"an rmdir", packet(typeRmdir, 9, "/a"), packet(typeStatus, 9, 4, "", ""), op{Op: "rmdir", Path: []byte("/a"), Code: 4, Text: []byte{}}},
		{"a rename", packet(typeRename, 9, "/a", "/b"), packet(typeStatus, 9, 0, "", ""), op{Op: "rename", Path: []byte("/a"), Target: []byte("/b")}},
		{"a realpath", packet(typeRealpath, 9, "."), packet(typeName, 9, 1, "/home/you", "/home/you", none), op{Op: "realpath", Path: []byte("."), Target: []byte("/home/you")}},
		{"a readlink", packet(typeReadlink, 9, "/l"), packet(typeName, 9, 1, "to", "to", none), op{Op: "readlink", Path: []byte("/l"), Target: []byte("to")}},
		{"a symlink, whose paths OpenSSH swaps", packet(typeSymlink, 9, "to", "/l"), packet(typeStatus, 9, 0, "", ""), op{Op: "symlink", Path: []byte("/l"), Target: []byte("to")}},
		{"a path that is no text", packet(typeRemove, 9, "/\xff\x00"), packet(typeStatus, 9, 0, "", ""), op{Op: "remove", Path: []byte("/\xff\x00")}},
		{"posix-rename", packet(typeExtended, 9, "posix-rename@openssh.com", "/a", "/b"), packet(typeStatus, 9, 0, "", ""), op{Op: "rename", Path: []byte("/a"), Target: []byte("/b")}},
		{"hardlink", packet(typeExtended, 9, "hardlink@openssh.com", "/a", "/b"), packet(typeStatus, 9, 0, "", ""), op{Op: "hardlink", Path: []byte("/a"), Target: []byte("/b")}},
		{"statvfs", packet(typeExtended, 9, "statvfs@openssh.com", "/"), packet(typeExtendedReply, 9, raw(make([]byte, 88))), op{Op: "statvfs@openssh.com", Path: []byte("/")}},
		{"lsetstat", packet(typeExtended, 9, "lsetstat@openssh.com", "/a", attrs), packet(typeStatus, 9, 0, "", ""), op{Op: "setstat", Path: []byte("/a"), Flags: 0x0d, Size: 42, Mode: 0o100644}},
		{"expand-path", packet(typeExtended, 9, "expand-path@openssh.com", "~/a"), packet(typeName, 9, 1, "/home/you/a", "", none), op{Op: "realpath", Path: []byte("~/a"), Target: []byte("/home/you/a")}},
		{"home-directory", packet(typeExtended, 9, "home-directory", "you"), packet(typeName, 9, 1, "/home/you", "", none), op{Op: "home-directory", Path: []byte("you"), Target: []byte("/home/you")}},
		{"users-groups-by-id", packet(typeExtended, 9, "users-groups-by-id@openssh.com", "\x00\x00\x00\x01", ""), packet(typeExtendedReply, 9, "root", ""), op{Op: "users-groups-by-id@openssh.com"}},
		{"an extension that nobody knows", packet(typeExtended, 9, "new\x01@example.com", raw("anything")), packet(typeExtendedReply, 9, raw("at all")), op{Op: `"new\x01@example.com"`}},
		{"an extension that the node does not have", packet(typeExtended, 9, "new@example.com"), packet(typeStatus, 9, 8, "?", ""), op{Op: "new@example.com", Code: 8, Text: []byte("?")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := begun(t, 0)
			k.ok(k.Client(test.ask))
			if len(k.ops) != 0 {
				t.Fatal("told before its answer")
			}
			k.ok(k.Node(test.answer))
			test.want.Began = 1
			if diff := cmp.Diff([]op{test.want}, k.ops); diff != "" {
				t.Error(diff)
			}
			k.ok(k.End())
			if len(k.ops) != 1 {
				t.Errorf("told again: %v", k.ops)
			}
		})
	}
}

func TestOperationsOnAnOpenFileHaveItsPath(t *testing.T) {
	k := begun(t, 0)
	k.open("/a", "h", flagRead|flagWrite)
	k.open("/b", "i", flagWrite)
	k.c(typeFstat, 5, "h")
	k.n(typeAttrs, 5, size8(7))
	k.c(typeFsetstat, 5, "h", raw("\x00\x00\x00\x04\x00\x00\x01\xff"))
	k.status(5, codeOK)
	k.c(typeExtended, 5, "fsync@openssh.com", "h")
	k.status(5, codeOK)
	k.c(typeExtended, 5, "fstatvfs@openssh.com", "h")
	k.n(typeExtendedReply, 5, raw(make([]byte, 88)))
	k.c(typeExtended, 5, "copy-data", "h", uint64(0), uint64(9), "i", uint64(0))
	k.status(5, codeOK)
	var told []string
	for _, op := range k.ops {
		told = append(told, fmt.Sprintf("%s %s %s %d", op.Op, op.Path, op.Target, op.Size))
	}
	want := "stat /a  7, setstat /a  0, fsync /a  0, fstatvfs@openssh.com /a  0, copy /a /b 9"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestADirectoryIsToldWhenItIsClosed(t *testing.T) {
	k := begun(t, 0)
	k.c(typeOpendir, 1, "/d")
	k.n(typeHandle, 1, "h")
	k.c(typeReaddir, 2, "h")
	k.n(typeName, 2, 2, "a", "-rw a", none, "b", "-rw b", size8(5))
	k.c(typeReaddir, 3, "h")
	k.n(typeName, 3, 1, "c", "-rw c", none)
	k.c(typeReaddir, 4, "h")
	k.status(4, codeEOF)
	if len(k.ops) != 0 {
		t.Fatal("told before it was closed")
	}
	k.close("h")
	want := recording.FileOp{Op: "list", Path: []byte("/d"), Entries: 3, Began: 1}
	if diff := cmp.Diff(want, k.last()); diff != "" || k.Files() != 0 {
		t.Error(diff, k.Files())
	}
}

func TestWhatWasNeverEndedIsTold(t *testing.T) {
	k := begun(t, 0)
	k.open("/a", "h", flagWrite|flagTrunc)
	k.c(typeWrite, 3, "h", uint64(0), "abc")
	k.status(3, codeOK)
	k.ok(k.Client(packet(typeWrite, 4, "h", uint64(3), "defghi")[:27])) // cut in its content
	k.ok(k.End())
	want := recording.FileOp{Op: "write", Path: []byte("/a"), Flags: flagWrite | flagTrunc, Began: 1, Write: 3, Size: 9, File: 1, Open: true, Unhashed: Unclosed}
	if diff := cmp.Diff(want, k.last()); diff != "" {
		t.Error(diff)
	}
	k = begun(t, 0)
	k.c(typeRemove, 3, "/gone")
	k.ok(k.End())
	if op := k.last(); op.Op != "remove" || !op.Open || op.Code != noAnswer {
		t.Errorf("%+v", op)
	}
}

func TestKeptContentIsTheFirstBytesOfEachFile(t *testing.T) {
	k := begun(t, 5)
	k.open("/a", "h", flagWrite|flagTrunc)
	k.open("/b", "i", flagRead)
	k.c(typeWrite, 3, "h", uint64(0), "abc")
	k.c(typeWrite, 4, "h", uint64(3), "defg")
	k.c(typeWrite, 5, "h", uint64(7), "hij")
	k.c(typeRead, 6, "i", uint64(100), 10)
	k.n(typeData, 6, "0123456789")
	want := []recording.Content{
		{From: recording.Client, File: 1, Offset: 0, Bytes: []byte("abc")},
		{From: recording.Client, File: 1, Offset: 3, Bytes: []byte("de")},
		{From: recording.Node, File: 2, Offset: 100, Bytes: []byte("01234")},
	}
	if diff := cmp.Diff(want, k.kept); diff != "" {
		t.Error(diff)
	}
	k.close("i")
	if k.last().Kept != 5 || k.last().File != 2 {
		t.Errorf("%+v", k.last())
	}
}

func TestAnErrorOfTheRecorderIsFinal(t *testing.T) {
	full := fmt.Errorf("disk full")
	k := begun(t, 0)
	k.Op = func(recording.FileOp) error { return full }
	k.c(typeRemove, 1, "/a")
	answer := packet(typeStatus, 1, codeOK, "", "")
	if err := k.Node(answer); err != full {
		t.Fatalf("%v", err)
	}
	if err := k.Client(packet(typeRemove, 2, "/b")); err != full {
		t.Fatalf("afterwards %v", err)
	}
}

func TestAnySplittingTellsTheSame(t *testing.T) {
	client := bytes.Join([][]byte{
		packet(typeInit, 3), packet(typeOpen, 1, "/a", flagWrite|flagTrunc, none),
	}, nil)
	rest := bytes.Join([][]byte{
		packet(typeWrite, 2, "h", uint64(0), strings.Repeat("x", 300)), packet(typeFstat, 4, "h"),
		packet(typeWrite, 3, "h", uint64(300), ""), packet(typeClose, 5, "h"),
	}, nil)
	first := bytes.Join([][]byte{packet(typeVersion, 3), packet(typeHandle, 1, "h")}, nil)
	second := bytes.Join([][]byte{
		packet(typeStatus, 2, 0), packet(typeAttrs, 4, size8(300)), packet(typeStatus, 3, 0), packet(typeStatus, 5, 0),
	}, nil)
	var want []recording.FileOp
	for step := 1; step < 40; step++ {
		k := newTalk(t, 0)
		feed := func(to func([]byte) error, b []byte) {
			for len(b) > 0 {
				n := min(step, len(b))
				piece := bytes.Clone(b[:n])
				k.ok(to(piece))
				clear(piece) // the caller's again
				b = b[n:]
			}
		}
		feed(k.Client, client)
		feed(k.Node, first)
		feed(k.Client, rest)
		feed(k.Node, second)
		if want == nil {
			want = k.ops
			if len(want) != 2 || !bytes.Equal(want[1].SHA256, digest(strings.Repeat("x", 300))) {
				t.Fatalf("%+v", want)
			}
		}
		if diff := cmp.Diff(want, k.ops); diff != "" {
			t.Fatalf("in pieces of %d: %s", step, diff)
		}
	}
}
