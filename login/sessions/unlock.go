package sessions

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Identity loads the age identities in a file; path "" is none, and nil opens
// nothing.
func Identity(path string) (recording.Opener, error) {
	if path == "" {
		return nil, nil
	}
	o, err := recording.LoadIdentities(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, fault.BadRequest, "%s holds no age identity", path).Because(err).
			Then("it is the file that age-keygen -o writes")
	}
	return o, nil
}

// identity loads those of the file that was named, or of the default one if it
// exists.
func (s *source) identity(getenv func(string) string) (recording.Opener, error) {
	if s.Key != "" {
		return Identity(s.Key)
	}
	dir := getenv("XDG_CONFIG_HOME")
	if home := getenv("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if dir == "" {
		return nil, nil
	}
	path := filepath.Join(dir, "sallyport", "identity.txt")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return Identity(path)
}

// ask asks the CA for the key of one recording.
func (c *call) ask(session id.Session) (recording.Opener, error) {
	client, err := c.connect(c.ctx, c.env)
	if err != nil {
		return nil, err
	}
	var answer wire.RecordingKey
	path := strings.Replace(wire.PathRecordingKey, "{id}", string(session), 1)
	if err := client.Do(c.ctx, http.MethodPost, path, nil, &answer); err != nil {
		if f := fault.Of(err); f.Kind == fault.Unavailable {
			return nil, err
		}
		return nil, locked(session, err)
	}
	var key recording.ContentKey
	if len(answer.Key) != len(key) {
		return nil, locked(session, errors.New("the CA sent no key"))
	}
	copy(key[:], answer.Key)
	return recording.Holding(key), nil
}

// locked says that nobody here can open the recording. why is what the CA said.
func locked(session id.Session, why error) error {
	text := ""
	if why != nil {
		text = " (the CA says: " + fault.Of(why).Text + ")"
	}
	return fault.New(fault.Denied, fault.RecordingLocked, "the recording of session %s is encrypted to its auditors, and no key at hand opens it%s", session, text).
		Because(why).Then("name the file of an auditor's key: --identity FILE")
}
