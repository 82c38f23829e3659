package home

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// busConfig is a session bus that starts no services by itself.
const busConfig = `<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`

// TestARealKeyring keeps the refresh token in GNOME's, over a session bus of the
// test's own.
func TestARealKeyring(t *testing.T) {
	config := filepath.Join(t.TempDir(), "bus.conf")
	if err := os.WriteFile(config, []byte(busConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := exec.Command(rig.Need(t, "dbus-daemon", "dbus"), "--config-file="+config, "--nofork", "--nopidfile", "--print-address")
	p := rig.Start(t, bus)
	rig.Eventually(t, 10*time.Second, "the bus has an address", func() bool { return strings.Contains(p.Log.String(), "unix:") })
	address, _, _ := strings.Cut(p.Log.String(), "\n")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address) // where the library looks
	d := newDir(t)
	d.getenv = os.Getenv

	t.Run("where nobody keeps secrets, a file does", func(t *testing.T) {
		keeper, err := d.SaveRefresh(t.Context(), "https://access.example.com", "a secret")
		if err != nil || keeper != KeeperFile {
			t.Errorf("%q, %v", keeper, err)
		}
	})

	daemon := exec.Command(rig.Need(t, "gnome-keyring-daemon", "gnome-keyring"), "--foreground", "--unlock", "--components=secrets")
	home := t.TempDir()
	daemon.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home, "XDG_DATA_HOME="+home)
	daemon.Stdin = bytes.NewReader([]byte("password"))
	rig.Start(t, daemon)

	t.Run("the keyring has the token, and no file", func(t *testing.T) {
		const url = "https://access.example.com"
		rig.Eventually(t, 20*time.Second, "the keyring takes it", func() bool {
			keeper, err := d.SaveRefresh(t.Context(), url, "a secret")
			if err != nil {
				t.Fatal(err)
			}
			return keeper == KeeperKeyring
		})
		if _, err := os.Stat(d.Path(refreshFile)); !os.IsNotExist(err) {
			t.Errorf("the file is still there: %v", err)
		}
		if token, err := d.LoadRefresh(t.Context(), url, KeeperKeyring); token != "a secret" || err != nil {
			t.Errorf("%q, %v", token, err)
		}
		if token, err := d.LoadRefresh(t.Context(), "https://access.example.org", KeeperKeyring); token != "" || err != nil {
			t.Errorf("another CA's is %q, %v", token, err)
		}
		if err := d.ForgetRefresh(t.Context(), url); err != nil {
			t.Error(err)
		}
		if token, err := d.LoadRefresh(t.Context(), url, KeeperKeyring); token != "" || err != nil {
			t.Errorf("after it was forgotten: %q, %v", token, err)
		}
		if err := d.ForgetRefresh(t.Context(), url); err != nil {
			t.Errorf("a second time: %v", err)
		}
	})
}
