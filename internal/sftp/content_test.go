package sftp

import (
	"bytes"
	"testing"
)

// A step is a line of a little language: what passes of one open file.
type step struct {
	do   string
	at   int
	data string // for size and eof nothing
	id   int
}

const (
	create = flagWrite | flagCreate | flagTrunc
	update = flagWrite
	both   = flagRead | flagWrite
)

func TestADigestIsOfTheWholeOrThereIsNone(t *testing.T) {
	for _, test := range []struct {
		name  string
		flags int
		steps []step
		whole string // "" for none
		why   string
	}{
		{"written from beginning to end", create, []step{{"write", 0, "abc", 0}, {"write", 3, "def", 0}}, "abcdef", ""},
		{"written in another order", create, []step{{"write", 6, "gh", 0}, {"write", 3, "def", 0}, {"write", 0, "abc", 0}}, "abcdefgh", ""},
		{"written with a hole", create, []step{{"write", 0, "abc", 0}, {"write", 5, "d", 0}}, "", Gaps},
		{"written twice at one place", create, []step{{"write", 0, "abc", 0}, {"write", 1, "x", 0}}, "", Twice},
		{"written twice before its turn", create, []step{{"write", 4, "abc", 0}, {"write", 5, "x", 0}}, "", Twice},
		{"written twice at the same place before its turn", create, []step{{"write", 4, "abc", 0}, {"write", 4, "abc", 0}}, "", Twice},
		{"written over what waits", create, []step{{"write", 2, "abc", 0}, {"write", 0, "xyz", 0}}, "", Twice},
		{"written into what is longer", update, []step{{"write", 0, "abc", 0}}, "", Part},
		{"written into what was longer and then cut, as scp does", update, []step{{"write", 0, "abc", 0}, {"resize", 3, "", 0}}, "abc", ""},
		{"cut before it was written", update, []step{{"resize", 0, "", 0}, {"write", 0, "abc", 0}}, "abc", ""},
		{"cut to less than was written", create, []step{{"write", 0, "abc", 0}, {"resize", 2, "", 0}}, "", Changed},
		{"cut while it is written", create, []step{{"ask-resize", 3, "", 7}, {"write", 0, "abc", 0}, {"status", 0, "", 7}}, "", Changed},
		{"made longer than was written", create, []step{{"write", 0, "abc", 0}, {"resize", 9, "", 0}}, "", Part},
		{"made as long as it was written then", create, []step{{"write", 0, "abc", 0}, {"resize", 6, "", 0}, {"write", 3, "def", 0}}, "abcdef", ""},
		{"as long as the node says", update, []step{{"write", 0, "abc", 0}, {"size", 3, "", 0}}, "abc", ""},
		{"longer, the node says", update, []step{{"write", 0, "abc", 0}, {"size", 4, "", 0}}, "", Part},
		{"appended", update | flagAppend, []step{{"write", 0, "abc", 0}}, "", Appended},
		{"with a write that failed", create, []step{{"write", 0, "abc", 0}, {"fail", 3, "def", 0}}, "", Failed},
		{"created and left empty", create, nil, "empty", ""},
		{"opened to write and left", update, nil, "", ""},
		{"read to the end", flagRead, []step{{"read", 0, "abc", 0}, {"read", 3, "def", 0}, {"eof", 6, "", 0}}, "abcdef", ""},
		{"read in another order", flagRead, []step{{"eof", 6, "", 0}, {"read", 3, "def", 0}, {"read", 0, "abc", 0}}, "abcdef", ""},
		{"read as far as the node says it is long", flagRead, []step{{"size", 6, "", 0}, {"read", 0, "abcdef", 0}}, "abcdef", ""},
		{"read less far", flagRead, []step{{"size", 6, "", 0}, {"read", 0, "abc", 0}}, "", Part},
		{"read with an end asked for beyond the end", flagRead, []step{{"read", 0, "abc", 0}, {"eof", 9, "", 0}}, "", Part},
		{"read in the middle", flagRead, []step{{"read", 3, "def", 0}, {"eof", 6, "", 0}}, "", Gaps},
		{"read twice", flagRead, []step{{"read", 0, "abc", 0}, {"read", 0, "abc", 0}, {"eof", 3, "", 0}}, "", Twice},
		{"found empty", flagRead, []step{{"eof", 0, "", 0}}, "empty", ""},
		{"opened to read and left", flagRead, nil, "", ""},
		{"only read, of a file that could be written", both, []step{{"read", 0, "abc", 0}, {"eof", 3, "", 0}}, "abc", ""},
		{"written and read", both | flagTrunc, []step{{"write", 0, "abc", 0}, {"read", 0, "abc", 0}}, "abc", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := begun(t, 0)
			k.open("/f", "h", test.flags)
			id := 10
			for _, s := range test.steps {
				id++
				switch s.do {
				case "write", "fail":
					k.c(typeWrite, id, "h", uint64(s.at), s.data)
					k.status(id, map[string]int{"write": 0, "fail": 4}[s.do])
				case "read":
					k.c(typeRead, id, "h", uint64(s.at), len(s.data))
					k.n(typeData, id, s.data)
				case "eof":
					k.c(typeRead, id, "h", uint64(s.at), 100)
					k.status(id, codeEOF)
				case "size":
					k.c(typeFstat, id, "h")
					k.n(typeAttrs, id, size8(uint64(s.at)))
				case "resize":
					k.c(typeFsetstat, id, "h", size8(uint64(s.at)))
					k.status(id, codeOK)
				case "ask-resize":
					k.c(typeFsetstat, s.id, "h", size8(uint64(s.at)))
				case "status":
					k.status(s.id, codeOK)
				}
			}
			k.close("h")
			var want []byte
			if test.whole == "empty" {
				want = digest("")
			} else if test.whole != "" {
				want = digest(test.whole)
			}
			if op := k.last(); !bytes.Equal(op.SHA256, want) || op.Unhashed != test.why {
				t.Errorf("%x, %q; %+v", op.SHA256, op.Unhashed, op)
			}
			if k.pieces != 0 || k.named != 0 || len(k.files)+len(k.paths)+len(k.handles)+len(k.requests) != 0 {
				t.Errorf("something is held of a file that is closed: %d bytes, %d of names", k.pieces, k.named)
			}
		})
	}
}

func TestAnswersInAnotherOrderThanTheirQuestions(t *testing.T) {
	k := begun(t, 0)
	k.open("/f", "h", flagRead)
	for i, at := range []uint64{0, 3, 6, 9} {
		k.c(typeRead, 10+i, "h", at, 3)
	}
	k.c(typeClose, 20, "h") // before any answer
	k.n(typeData, 12, "ghi")
	k.status(13, codeEOF)
	k.n(typeData, 10, "abc")
	k.status(20, codeOK)
	if len(k.ops) != 0 {
		t.Fatal("told while an answer is under way")
	}
	k.n(typeData, 11, "def")
	if op := k.last(); !bytes.Equal(op.SHA256, digest("abcdefghi")) || op.Read != 9 || op.Size != 9 {
		t.Errorf("%+v", op)
	}
}

// A node may give a handle again as soon as it was closed, and answer in any
// order; what is sent then must not count for the file before.
func TestAHandleThatIsGivenAgainIsAnotherFile(t *testing.T) {
	k := begun(t, 0)
	k.open("/old", "h", flagWrite|flagTrunc)
	k.c(typeClose, 2, "h")
	k.c(typeOpen, 3, "/new", create, none)
	k.n(typeHandle, 3, "h")
	k.c(typeWrite, 4, "h", uint64(0), "new")
	k.status(2, codeOK)
	if op := k.last(); string(op.Path) != "/old" || op.Write != 0 {
		t.Errorf("%+v", op)
	}
	k.status(4, codeOK)
	k.close("h")
	if op := k.last(); string(op.Path) != "/new" || !bytes.Equal(op.SHA256, digest("new")) {
		t.Errorf("%+v", op)
	}
}

func TestContentOutOfOrderIsHeldUpToALimit(t *testing.T) {
	k := begun(t, 0)
	k.open("/f", "h", create)
	block := make([]byte, 200<<10)
	at, id := uint64(1), 10
	for k.files != nil && at < 3*maxPieces {
		k.c(typeWrite, id, "h", at, block)
		k.status(id, codeOK)
		at += uint64(len(block)) + 1 // not in a row
		id++
		if k.pieces > maxPieces {
			t.Fatalf("%d bytes are held", k.pieces)
		}
	}
	k.c(typeWrite, id, "h", uint64(0), "x")
	k.status(id, codeOK)
	k.close("h")
	if op := k.last(); op.SHA256 != nil || op.Unhashed != Unordered {
		t.Errorf("%+v", op)
	}
}

func TestACopyOnTheNodeLeavesNoDigest(t *testing.T) {
	k := begun(t, 0)
	k.open("/from", "h", flagRead)
	k.open("/to", "i", create)
	k.c(typeExtended, 9, "copy-data", "h", uint64(0), uint64(0), "i", uint64(0))
	k.status(9, codeOK)
	k.close("i")
	if op := k.last(); op.SHA256 != nil || op.Unhashed != Changed {
		t.Errorf("%+v", op)
	}
}

func TestWhatWasReadWholeNeedsNoClose(t *testing.T) {
	k := begun(t, 0)
	k.open("/f", "h", flagRead)
	k.c(typeRead, 3, "h", uint64(0), 4096)
	k.n(typeData, 3, "abc")
	k.c(typeRead, 4, "h", uint64(3), 4096)
	k.status(4, codeEOF)
	k.ok(k.End())
	if op := k.last(); !bytes.Equal(op.SHA256, digest("abc")) || !op.Open {
		t.Errorf("%+v", op)
	}
}

func TestASizeThatWasAskedByPathAsSshfsDoes(t *testing.T) {
	k := begun(t, 0)
	k.c(typeOpen, 1, "/f", flagRead, none)
	k.c(typeStat, 2, "/f")
	k.n(typeHandle, 1, "h")
	k.n(typeAttrs, 2, size8(3))
	k.c(typeRead, 3, "h", uint64(0), 4096)
	k.n(typeData, 3, "abc")
	k.close("h")
	if op := k.last(); !bytes.Equal(op.SHA256, digest("abc")) {
		t.Errorf("%+v", op)
	}
}
