package signer

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// startListening starts a signer on a socket for the user peer.
func startListening(t *testing.T, c Config, peer string) (Config, *rig.Process) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A temporary directory's path may be longer than a socket's can be.
	dir, err := os.MkdirTemp("", "signer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c.Socket, c.SocketUser = filepath.Join(dir, "socket"), me()
	return c, listenAt(t, self, c, peer)
}

func listenAt(t *testing.T, self string, c Config, peer string) *rig.Process {
	t.Helper()
	p := rig.Start(t, exec.Command(self, "signer", "--keys", c.Keys, "--passphrase-file", c.PassphraseFile,
		"--listen", c.Socket, "--peer", peer, "--require-fence"))
	lastPid(t, p.Log)
	return p
}

func me() string { return strconv.Itoa(os.Geteuid()) }

func ended(t *testing.T, p *rig.Process) *os.ProcessState {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the signer did not end")
	}
	return p.Cmd.ProcessState
}

func TestASignerOfItsOwnUserServesItsCAAlone(t *testing.T) {
	c, p := startListening(t, keyFolder(t), me())
	for range 2 { // a CA, and the one that replaces it
		client := start(t, c)
		if _, err := client.Sign(t.Context(), loginRequest(newKey25519(t))); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Sign(t.Context(), sessionRequest(newKey25519(t))); err != nil {
			t.Fatal(err)
		}
		client.Close()
	}

	// A serial stays used, whoever asks.
	first, second := start(t, c), start(t, c)
	r := loginRequest(newKey25519(t))
	if _, err := first.Sign(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Sign(t.Context(), r); fault.ReasonOf(err) != fault.ProfileRefused {
		t.Errorf("a serial twice over two connections: %v", err)
	}

	// A client that wants another user at the other end does not ask at all.
	other := c
	other.SocketUser = "65534"
	if _, err := Start(t.Context(), other); fault.ReasonOf(err) != fault.SignerAway {
		t.Errorf("a socket of another user: %v", err)
	}
	p.Stop(10 * time.Second)
	if state := ended(t, p); !state.Success() {
		t.Errorf("after SIGTERM: %v\n%s", state, p.Log)
	}
}

func TestAnotherUserIsNotServed(t *testing.T) {
	c, p := startListening(t, keyFolder(t), "65534")
	if client, err := Start(t.Context(), c); fault.ReasonOf(err) != fault.SignerAway {
		if err == nil {
			client.Close()
		}
		t.Errorf("another user than --peer: %v", err)
	}
	select {
	case <-p.Done():
		t.Error("a stranger ended the signer")
	default:
	}
}

func TestAViolationEndsTheListeningSigner(t *testing.T) {
	c, p := startListening(t, keyFolder(t), me())
	client := start(t, c)
	conn, err := net.Dial("unix", c.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{0, 0, 0, 1, 99}); err != nil {
		t.Fatal(err)
	}
	if state := ended(t, p); state.ExitCode() != StatusViolation {
		t.Errorf("it ended with %v\n%s", state, p.Log)
	}
	rig.Eventually(t, 10*time.Second, "the CA sees that the signer is away", func() bool {
		_, err := client.Sign(t.Context(), loginRequest(newKey25519(t)))
		return fault.ReasonOf(err) == fault.SignerAway
	})

	// What starts it again (systemd) finds the old socket in the way.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	listenAt(t, self, c, me())
	rig.Eventually(t, 30*time.Second, "the CA reaches the new signer", func() bool {
		_, err := client.Sign(t.Context(), loginRequest(newKey25519(t)))
		return err == nil
	})
}

func TestASocketDoesNotReplaceAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	write(t, path, "precious")
	if d, err := listen(path, 0); err == nil {
		d.Close()
		t.Error("it listens")
	}
	if read(t, path) != "precious" {
		t.Error("the file is gone")
	}
}

func TestTheSignerIsNotForPeople(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"without a CA":         {"signer", "--keys", "/nowhere"},
		"a socket for nobody":  {"signer", "--keys", "/nowhere", "--listen", "/nowhere/socket"},
		"a socket for no user": {"signer", "--keys", "/nowhere", "--listen", "/nowhere/socket", "--peer", "no-such-user-here"},
		"without keys":         {"signer"},
		"a passphrase in argv": {"signer", "--keys", "/nowhere", "--passphrase", "secret"},
	} {
		out, err := exec.Command(self, args...).CombinedOutput()
		if err == nil || len(out) == 0 {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
