package bundle

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// The files in testdata are bundles as they were handed out: evidence is kept for
// years, and a later verify has to know it still. They are also what the tests of
// the command line work on.
var update = flag.Bool("update", false, "make the bundles in testdata anew: for a format that was never released")

func TestBundlesOfBeforeStillVerify(t *testing.T) {
	if *update {
		makeGolden(t)
	}
	keys := goldenKeys(t)
	for name, o := range map[string]recording.Opener{"clear.bundle": nil, "encrypted.bundle": goldenIdentity(t)} {
		file, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := unpack(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r := verified(t, b, keys, o); !r.Holds() || !r.Recording.Opened {
			t.Errorf("%s: %+v", name, r)
		}
		if again := packed(t, b); !bytes.Equal(again, file) {
			t.Errorf("%s is spelled in another way now", name)
		}
	}
}

func goldenKeys(t *testing.T) Trust {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseTrust(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func goldenIdentity(t *testing.T) recording.Opener {
	t.Helper()
	o, err := recording.LoadIdentities(filepath.Join("testdata", "auditor.key"))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func makeGolden(t *testing.T) {
	t.Helper()
	auditor, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	clear, encrypted := newFacts(t), newFacts(t)
	encrypted.auditor = auditor
	keys, err := h.trust().Render("Public keys of the tests' house.")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"clear.bundle": packed(t, h.evidence(clear)), "encrypted.bundle": packed(t, h.evidence(encrypted)),
		"trust.json": keys, "auditor.key": []byte("# of the tests: it opens testdata/encrypted.bundle and nothing else\n" + auditor.String() + "\n"),
	} {
		if err := os.WriteFile(filepath.Join("testdata", name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
