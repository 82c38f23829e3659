package sftp

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
)

func TestWhatCannotBeUnderstoodIsNamed(t *testing.T) {
	type talkTo = func(*talk) error
	client := func(kind byte, fields ...any) talkTo {
		return func(k *talk) error { return k.Client(packet(kind, fields...)) }
	}
	node := func(kind byte, fields ...any) talkTo {
		return func(k *talk) error { return k.Node(packet(kind, fields...)) }
	}
	bytes := func(b string) talkTo { return func(k *talk) error { return k.Client([]byte(b)) } }
	// asked has an answer come to a request that was made.
	asked := func(ask []byte, kind byte, fields ...any) talkTo {
		return func(k *talk) error {
			k.ok(k.Client(ask))
			return k.Node(packet(kind, fields...))
		}
	}
	stat := packet(typeStat, 9, "/a")
	for _, test := range []struct {
		name string
		do   talkTo
		want Cause
	}{
		{"a packet of no length", bytes("\x00\x00\x00\x00\x11"), Length},
		{"a packet of 4 GiB", bytes("\xff\xff\xff\xff\x11"), Length},
		{"a packet just beyond the limit", bytes("\x00\x04\x00\x01\x11"), Length},
		{"a shell's greeting where SFTP belongs", func(k *talk) error { return k.Node([]byte("Welcome to web-1!\n")) }, Length},
		{"no id", bytes("\x00\x00\x00\x03\x11\x00\x00"), Truncated},
		{"a path that is longer than its packet", client(typeStat, 9, raw("\x00\x00\x00\x05/a")), Truncated},
		{"a path of 4 GiB", client(typeStat, 9, raw("\xff\xff\xff\xff/a")), Truncated},
		{"more after the last field", client(typeStat, 9, "/a", raw("x")), Trailing},
		{"a write of more than its packet", client(typeWrite, 9, "h", uint64(0), raw("\x00\x00\x00\x05abc")), Truncated},
		{"a write of less than its packet", client(typeWrite, 9, "h", uint64(0), raw("\x00\x00\x00\x01abc")), Trailing},
		{"a write without a place", bytes("\x00\x00\x00\x0a\x06\x00\x00\x00\x09\x00\x00\x00\x01h"), Truncated},
		{"attributes that end early", client(typeSetstat, 9, "/a", raw("\x00\x00\x00\x01\x00")), Truncated},
		{"4 billion extended attributes", client(typeSetstat, 9, "/a", raw("\x80\x00\x00\x00\xff\xff\xff\xff")), Truncated},
		{"a type that version 3 does not have", client(21, 9, "/a", "/b"), Type},
		{"an answer from the client", client(typeStatus, 9, 0), Type},
		{"an extension without a name", client(typeExtended, 9, ""), Type},
		{"INIT twice", client(typeInit, 3), Order},
		{"VERSION twice", node(typeVersion, 3), Order},
		{"another version by extension", client(typeExtended, 9, "version-select", "6"), Version},
		{"an id that waits already", func(k *talk) error { k.ok(k.Client(stat)); return k.Client(stat) }, IDReused},
		{"an answer without a question", node(typeStatus, 9, 0), NoQuestion},
		{"a second answer", func(k *talk) error { k.ok(k.Client(stat)); k.status(9, 2); return k.Node(packet(typeStatus, 9, 2)) }, NoQuestion},
		{"data for a stat", asked(stat, typeData, 9, "abc"), WrongAnswer},
		{"a handle for a stat", asked(stat, typeHandle, 9, "x"), WrongAnswer},
		{"a stat that works without attributes", asked(stat, typeStatus, 9, 0), WrongAnswer},
		{"an open that works without a handle", asked(packet(typeOpen, 9, "/a", flagRead, none), typeStatus, 9, 0), WrongAnswer},
		{"attributes for a write", asked(packet(typeWrite, 9, "h", uint64(0), "x"), typeAttrs, 9, none), WrongAnswer},
		{"a reply of an extension to a stat", asked(stat, typeExtendedReply, 9), WrongAnswer},
		{"a handle from an extension that nobody knows", asked(packet(typeExtended, 9, "open@example.com"), typeHandle, 9, "x"), WrongAnswer},
		{"data from an extension that nobody knows", asked(packet(typeExtended, 9, "read@example.com"), typeData, 9, "x"), WrongAnswer},
		{"an answer of no type that there is", asked(stat, 120, 9), WrongAnswer},
		{"more data than was asked for", asked(packet(typeRead, 9, "h", uint64(0), 2), typeData, 9, "abc"), TooMuchData},
		{"data beyond any file", asked(packet(typeRead, 9, "h", ^uint64(0), 2), typeData, 9, "ab"), TooMuchData},
		{"a write beyond any file", client(typeWrite, 9, "h", ^uint64(0), "ab"), TooMuchData},
		{"data that is longer than its packet", asked(packet(typeRead, 9, "h", uint64(0), 9), typeData, 9, raw("\x00\x00\x00\x05abc")), Truncated},
		{"data that is shorter than its packet", asked(packet(typeRead, 9, "h", uint64(0), 9), typeData, 9, raw("\x00\x00\x00\x02abc")), Trailing},
		{"a status of one byte", asked(stat, typeStatus, 9, raw("\x00")), Truncated},
		{"a status that goes on", asked(stat, typeStatus, 9, 2, "", "", "x"), Trailing},
		{"fewer names than it says", asked(packet(typeReaddir, 9, "d"), typeName, 9, 3, "a", "a", none), Truncated},
		{"more names than it says", asked(packet(typeReaddir, 9, "d"), typeName, 9, 0, "a", "a", none), Trailing},
		{"a write to a handle that was never given", client(typeWrite, 9, "guessed", uint64(0), "x"), UnknownHandle},
		{"a write to a handle of 4 GiB", client(typeWrite, 9, raw("\xff\xff\xff\xff")), UnknownHandle},
		{"a read after the close", func(k *talk) error { k.close("h"); return k.Client(packet(typeRead, 9, "h", uint64(0), 9)) }, UnknownHandle},
		{"a read while it is closed", func(k *talk) error { k.c(typeClose, 8, "h"); return k.Client(packet(typeRead, 9, "h", uint64(0), 9)) }, UnknownHandle},
		{"a directory read as a file", client(typeRead, 9, "d", uint64(0), 9), WrongHandle},
		{"a directory written as a file", client(typeWrite, 9, "d", uint64(0), "x"), WrongHandle},
		{"a file listed", client(typeReaddir, 9, "h"), WrongHandle},
		{"a directory copied", client(typeExtended, 9, "copy-data", "d", uint64(0), uint64(0), "h", uint64(0)), WrongHandle},
		{"a handle that is open already", asked(packet(typeOpen, 9, "/b", flagRead, none), typeHandle, 9, "h"), HandleReused},
		{"a handle of more than 256 bytes", asked(packet(typeOpen, 9, "/b", flagRead, none), typeHandle, 9, strings.Repeat("h", 257)), UnknownHandle},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := begun(t, 0)
			k.open("/h", "h", flagRead|flagWrite)
			k.c(typeOpendir, 1, "/d")
			k.n(typeHandle, 1, "d")
			err := test.do(k)
			refused(t, err, test.want)
			if again := k.Client(stat); again != err {
				t.Errorf("afterwards %v", again)
			}
			if again := k.Node(nil); again != err {
				t.Errorf("afterwards %v", again)
			}
			k.ok(k.End()) // what was open is told all the same
		})
	}
}

func TestBeforeTheVersionsAreKnownNothingPasses(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(*talk) error
		want Cause
	}{
		{"a request before INIT", func(k *talk) error { return k.Client(packet(typeStat, 1, "/a")) }, Order},
		{"VERSION before INIT", func(k *talk) error { return k.Node(packet(typeVersion, 3)) }, Order},
		{"an answer before VERSION", func(k *talk) error {
			k.c(typeInit, 3)
			k.c(typeStat, 1, "/a")
			return k.Node(packet(typeStatus, 1, 0))
		}, Order},
		{"a client of version 2", func(k *talk) error { return k.Client(packet(typeInit, 2)) }, Version},
		{"a node of version 6", func(k *talk) error { k.c(typeInit, 6); return k.Node(packet(typeVersion, 6)) }, Version},
		{"extensions that end early", func(k *talk) error { return k.Client(packet(typeInit, 3, "name")) }, Truncated},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.do(newTalk(t, 0)), test.want) })
	}
	k := newTalk(t, 0)
	k.c(typeInit, 6) // as lftp begins
	k.n(typeVersion, 3)
}

func TestAMalformedSaysWhere(t *testing.T) {
	k := begun(t, 0)
	err := k.Client(packet(typeWrite, 9, "guessed", uint64(0), "x"))
	if want := "SFTP: packet of type 6 at byte 9 from the client: unknown-handle"; err.Error() != want {
		t.Errorf("%q", err)
	}
}

func TestANodeMayAllowLargerPackets(t *testing.T) {
	large := packet(typeExtended, 9, "large@example.com", strings.Repeat("x", 300<<10))
	refused(t, begun(t, 0).Client(large), Length)
	k := begun(t, 0)
	k.c(typeExtended, 1, "limits@openssh.com")
	k.n(typeExtendedReply, 1, uint64(1<<40), uint64(0), uint64(0), uint64(0))
	k.ok(k.Client(large))
	refused(t, k.Client(packet(typeExtended, 10, "large@example.com", strings.Repeat("x", maxLargest))), Length)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestHundredThousandRequestsWaitInBoundedMemory(t *testing.T) {
	for _, test := range []struct {
		name string
		ask  func(id int) []byte
		most int64 // MiB
	}{
		{"of reading", func(id int) []byte { return packet(typeRead, id, "h", uint64(id), 1) }, 24},
		{"about paths", func(id int) []byte { return packet(typeStat, id, "/some/path/that/is/not/short") }, 64},
		{"about an open file with a long path", func(id int) []byte { return packet(typeFstat, id, "h") }, 64},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := begun(t, 0)
			k.open(strings.Repeat("/long", 200), "h", flagRead)
			before := heap()
			for id := range maxRequests {
				k.ok(k.Client(test.ask(id)))
			}
			if used := (heap() - before) >> 20; used > test.most {
				t.Errorf("%d MiB are held", used)
			}
			for id := range maxRequests { // all are answered
				k.status(id, codeEOF)
			}
			for id := range maxRequests {
				k.ok(k.Client(test.ask(id)))
			}
			refused(t, k.Client(test.ask(maxRequests)), TooManyRequests)
		})
	}
}

func TestLongPathsAreHeldUpToALimit(t *testing.T) {
	k := begun(t, 0)
	path := strings.Repeat("p", 200<<10)
	var err error
	for id := 1; err == nil && id < maxRequests; id++ {
		err = k.Client(packet(typeStat, id, path))
	}
	refused(t, err, TooManyNames)
	k = begun(t, 0)
	for id := 1; id < 1000; id++ { // answered ones are forgotten
		k.c(typeStat, id, path)
		k.status(id, 2)
		k.ops = nil
	}
}

func TestFilesAreOpenUpToALimit(t *testing.T) {
	k := begun(t, 0)
	for i := range maxHandles {
		k.open("/f", string(rune(i)), flagRead)
	}
	k.c(typeOpen, 1, "/f", flagRead, none)
	refused(t, k.Node(packet(typeHandle, 1, "one too many")), TooManyHandles)
}

func TestALengthIsBelievedAsFarAsItsBytesHaveCome(t *testing.T) {
	before := heap()
	talks := make([]*talk, 1000)
	for i := range talks {
		talks[i] = begun(t, 0)
		talks[i].ok(talks[i].Client([]byte("\x00\x04\x00\x00\x11\x00\x00")))
	}
	if used := heap() - before; used > 4<<20 {
		t.Errorf("%d bytes for 1,000 packets of which 7 bytes have come", used)
	}
	runtime.KeepAlive(talks)
}

func TestAGigabytePassesInBoundedMemory(t *testing.T) {
	k := begun(t, 0)
	k.open("/f", "h", create)
	const block, blocks = 128 << 10, 8192
	write := packet(typeWrite, 9, "h", uint64(0), make([]byte, block))
	done := packet(typeStatus, 9, codeOK, "", "")
	before := heap()
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	for i := range blocks {
		binary.BigEndian.PutUint64(write[prefix+4+4+1:], uint64(i)*block)
		for at := 0; at < len(write); at += 50_000 { // as the relay may cut it
			k.ok(k.Client(write[at:min(at+50_000, len(write))]))
		}
		k.ok(k.Node(done))
	}
	runtime.ReadMemStats(&end)
	if made, held := end.TotalAlloc-start.TotalAlloc, heap()-before; made > 64<<10 || held > 64<<10 {
		t.Errorf("%d bytes were allocated for %d requests, %d are held", made, blocks, held)
	}
	k.close("h")
	if op := k.last(); op.Write != 1<<30 || op.SHA256 == nil {
		t.Errorf("%+v", op)
	}
}
