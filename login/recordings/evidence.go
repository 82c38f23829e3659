package recordings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/bundle"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/sessions"
)

// evidence is what a command is about: a recording, alone or in its bundle.
type evidence struct {
	name      string         // as the person gave it
	recording bundle.Section // never nil
	bundle    *bundle.Bundle // nil: a bare recording
	file      *os.File
	remove    bool // file is ours
}

func (e *evidence) close() {
	e.file.Close()
	if e.remove {
		os.Remove(e.file.Name())
	}
}

// open opens the recording, to be read.
func (e *evidence) open(o recording.Opener) (*recording.Recording, error) {
	r, err := recording.OpenAt(e.recording, e.recording.Size(), o)
	return r, sessions.Readable(err)
}

// evidence opens what name is: a file that is a recording or a bundle, or else a
// session, whose evidence the CA is asked for.
func (c *call) evidence(name string) (*evidence, error) {
	f, err := os.Open(name)
	switch {
	case err == nil:
		e, err := openEvidence(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		e.name = name
		return e, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open evidence: %w", err)
	}
	session, err := id.ParseSession(name)
	if err != nil {
		return nil, fault.New(fault.Missing, fault.NotFound, "there is no file %s, and it is no session either", name).Then("run: sallyport sessions ls")
	}
	return c.download(session)
}

// openEvidence tells a recording from a bundle by its first bytes, whatever its
// name is.
func openEvidence(f *os.File) (*evidence, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open evidence: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, fault.BadRequest, "%s is no file", f.Name())
	}
	e := &evidence{file: f}
	// RECORDING.md, "Header"; a tar begins with the name of its first member.
	var first [1]byte
	if _, err := f.ReadAt(first[:], 0); err == nil && first[0] == 0x89 {
		e.recording = io.NewSectionReader(f, 0, info.Size())
		return e, nil
	}
	if e.bundle, err = bundle.Read(f, info.Size()); err != nil {
		return nil, err
	}
	e.recording = e.bundle.Recording
	return e, nil
}

// download gets a session's recording and what the log says of it. The recording
// lies in a file of the person's alone, which is gone when the command ends.
func (c *call) download(session id.Session) (*evidence, error) {
	client, err := c.connect(c.ctx, c.env)
	if err != nil {
		return nil, err
	}
	var told wire.Evidence
	if err := client.Do(c.ctx, http.MethodGet, of(wire.PathRecordingProof, session), nil, &told); err != nil {
		return nil, err
	}
	body, err := client.Stream(c.ctx, of(wire.PathRecording, session))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	f, err := os.CreateTemp("", "sallyport-recording-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("keep the recording for a moment: %w", err)
	}
	e := &evidence{name: string(session), file: f, remove: true}
	n, err := io.Copy(f, body)
	if err != nil {
		e.close()
		return nil, fault.New(fault.Unavailable, fault.CAAway, "the recording broke off while it was sent").Because(err)
	}
	e.recording = io.NewSectionReader(f, 0, n)
	if e.bundle, err = bundle.Assemble(session, e.recording, told); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func of(path string, session id.Session) string {
	return strings.Replace(path, "{id}", string(session), 1)
}
