package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// State is what a login leaves for later commands. It holds no secret: the login
// key and the refresh token stand elsewhere.
type State struct {
	URL       string         `json:"url"` // of the CA
	Discovery wire.Discovery `json:"discovery"`
	Identity  id.Identity    `json:"identity"`
	Groups    []string       `json:"groups"`

	// Key is the path of the private key, or of a security key's handle.
	Key string `json:"key"`
	// TokenFile and TokenEnv name where a workload's ID token is read again.
	// Both are empty for people.
	TokenFile string `json:"token_file,omitempty"`
	TokenEnv  string `json:"token_env,omitempty"`

	// Refresh says where the refresh token is kept; "" is that there is none.
	Refresh Keeper `json:"refresh,omitempty"`
	// RefreshUntil is when the issuer said that it ends, Unix seconds; 0 if it
	// did not say.
	RefreshUntil int64 `json:"refresh_until,omitempty"`
	// Tried is when the last renewal began, Unix seconds, so that an issuer
	// that is away does not slow down every ssh.
	Tried int64 `json:"tried,omitempty"`
	// Trouble is why that renewal did not work, for people; "" if it did.
	Trouble string `json:"trouble,omitempty"`
}

// ErrNotLoggedIn is what LoadState returns before the first login.
var ErrNotLoggedIn = fault.New(fault.Unauthentic, fault.CertificateInvalid, "you are not logged in").Then("run: sallyport login")

// LoadState reads the state.
func (d Dir) LoadState() (State, error) {
	var s State
	data, err := d.Read(stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return s, ErrNotLoggedIn
	}
	if err != nil {
		return s, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil || s.URL == "" {
		return State{}, fault.New(fault.Internal, fault.InternalError, "%s is damaged", d.Show(d.Path(stateFile))).
			Then("run: sallyport login URL").Because(err)
	}
	return s, nil
}

// SaveState replaces the state.
func (d Dir) SaveState(s State) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return d.Write(stateFile, append(data, '\n'))
}
