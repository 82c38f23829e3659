package wire

import (
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// partsDoor serves the parts' door and says which pin each caller had.
func partsDoor(t *testing.T, h http.HandlerFunc) (PartsDoor, Identity) {
	t.Helper()
	identity := newIdentity(t)
	server := httptest.NewUnstartedServer(h)
	server.TLS = PartsTLS(identity)
	server.StartTLS()
	t.Cleanup(server.Close)
	return PartsDoor{URL: server.URL, Pin: hex.EncodeToString(identity.Pin())}, identity
}

func newIdentity(t *testing.T) Identity {
	t.Helper()
	identity, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func TestAPartAndTheCAKnowEachOtherByTheirPins(t *testing.T) {
	var seen string
	door, _ := partsDoor(t, func(w http.ResponseWriter, r *http.Request) {
		seen = hex.EncodeToString(PinOf(r.TLS.PeerCertificates[0]))
		w.Write([]byte(`{"version":3}`))
	})
	mine := newIdentity(t)
	c, err := NewPartsClient(door, mine)
	if err != nil {
		t.Fatal(err)
	}
	var state ProxyState
	if err := c.Do(t.Context(), http.MethodGet, PathProxyState, nil, &state); err != nil || state.Version != 3 {
		t.Fatalf("version %d, %v", state.Version, err)
	}
	if want := hex.EncodeToString(mine.Pin()); seen != want {
		t.Errorf("the CA saw pin %s, not %s", seen, want)
	}
}

func TestAPartTrustsNoOtherServer(t *testing.T) {
	door, _ := partsDoor(t, func(w http.ResponseWriter, r *http.Request) { t.Error("a request reached the wrong server") })
	door.Pin = hex.EncodeToString(newIdentity(t).Pin())
	c, err := NewPartsClient(door, newIdentity(t))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Do(t.Context(), http.MethodGet, PathProxyState, nil, nil)
	if fault.ReasonOf(err) != fault.CAAway || !strings.Contains(fault.Of(err).Text, "is not the CA") {
		t.Errorf("got %v", err)
	}
}

func TestThePartsDoorRefusesWhoHasNoKey(t *testing.T) {
	door, _ := partsDoor(t, func(w http.ResponseWriter, r *http.Request) { t.Error("a request without a key came through") })
	c, err := NewPartsClient(door, Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), http.MethodGet, PathProxyState, nil, nil); err == nil {
		t.Error("the door is open")
	}
}

func TestNewPartsClientRefuses(t *testing.T) {
	pin := strings.Repeat("ab", 32)
	for name, door := range map[string]PartsDoor{
		"no door":         {},
		"plain HTTP":      {URL: "http://127.0.0.1:7443", Pin: pin},
		"no pin":          {URL: "https://access.example.com:7443"},
		"a short pin":     {URL: "https://access.example.com:7443", Pin: pin[2:]},
		"a pin in base64": {URL: "https://access.example.com:7443", Pin: "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="},
	} {
		if _, err := NewPartsClient(door, newIdentity(t)); fault.ReasonOf(err) != fault.ConfigInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnIdentityIsMadeOnceAndKeptFromOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "identity.key")
	first, err := LoadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadIdentity(path)
	if err != nil || string(again.Pin()) != string(first.Pin()) {
		t.Fatalf("another pin, %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for name, spoil := range map[string]func() error{
		"a key that others may read": func() error { return os.Chmod(path, 0o640) },
		"no PEM":                     func() error { return os.WriteFile(path, []byte("garbage"), 0o600) },
		"an empty file":              func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(path); fault.ReasonOf(err) != fault.ConfigInvalid {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
