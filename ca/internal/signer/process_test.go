//go:build linux

package signer

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// lastPid finds the process that said last that it is ready.
func lastPid(t *testing.T, log *rig.Log) int {
	t.Helper()
	pid := 0
	rig.Eventually(t, 10*time.Second, "the signer logs that it is ready", func() bool {
		for line := range strings.Lines(log.String()) {
			var entry struct {
				Msg string
				Pid int
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "signer ready" {
				pid = entry.Pid
			}
		}
		return pid != 0
	})
	return pid
}

// violations are what a taken-over CA could send, and what the log then says.
func violations(t *testing.T) []violating {
	hello := appendFrame(nil, msgHello, &helloMsg{protocolVersion})
	keys := appendFrame(nil, msgKeys, nil)
	ready := slices.Concat(hello, keys)
	login := func(change func(*loginMsg)) []byte {
		r := loginRequest(newKey25519(t))
		m := loginMsg{1, string(r.Identity), string(r.LoginID), r.Key.Marshal(), uint64(r.Serial), uint64(r.ValidAfter), uint64(r.ValidBefore), nil, false}
		change(&m)
		return appendFrame(nil, msgSignLogin, &m)
	}
	good := login(func(*loginMsg) {})
	lax := slices.Clone(good)
	lax[len(lax)-1] = 7 // a boolean that is neither 0 nor 1
	return []violating{
		{"a kind that does not exist", "kind 99, which does not exist", append(slices.Clone(ready), 0, 0, 0, 1, 99)},
		{"kind 0", "kind 0, which does not exist", []byte{0, 0, 0, 1, 0}},
		{"an answer as a request", "kind 10, which does not exist", append(slices.Clone(ready), appendFrame(nil, msgCertificate, &certificateMsg{1, nil})...)},
		{"a request before the greeting", "kind 5 out of order", good},
		{"keys before the greeting", "kind 3 out of order", keys},
		{"a request before the keys", "kind 5 out of order", slices.Concat(hello, good)},
		{"a second greeting", "kind 1 out of order", slices.Concat(hello, hello)},
		{"a second greeting in the middle", "kind 1 out of order", slices.Concat(ready, good, hello)},
		{"the keys a second time", "kind 3 out of order", slices.Concat(ready, keys)},
		{"another version", "version 3", appendFrame(nil, msgHello, &helloMsg{3})},
		{"a greeting with more in it", "malformed", []byte{0, 0, 0, 6, 1, 0, 0, 0, 1, 0}},
		{"a request for keys with more in it", "with something in it", slices.Concat(hello, []byte{0, 0, 0, 2, 3, 0})},
		{"an empty frame", "frame of 0 bytes", slices.Concat(ready, []byte{0, 0, 0, 0})},
		{"a frame of 4 GiB", "frame of 4294967295 bytes", slices.Concat(ready, []byte{0xff, 0xff, 0xff, 0xff})},
		{"a frame a byte too large", "frame of 65537 bytes", slices.Concat(ready, []byte{0, 1, 0, 1}, make([]byte, maxFrame+1))},
		{"a request that is cut inside", "malformed", slices.Concat(ready, []byte{0, 0, 0, 3, 5, 0, 0})},
		{"a request with a lax boolean", "canonical", slices.Concat(ready, lax)},
		{"a request with a malformed key", "malformed key", slices.Concat(ready, login(func(m *loginMsg) { m.Key = []byte("x") }))},
		{"a request with a malformed address", "malformed source address", slices.Concat(ready, login(func(m *loginMsg) { m.Source = []string{"x"} }))},
		{"garbage", "frame of 1195725856 bytes", []byte("GET / HTTP/1.1\r\n\r\n")},
	}
}

type violating struct {
	name, log string
	data      []byte
}

// TestWhatTheTableDoesNotPermitEndsTheConnection with the exit status and the
// line for the log that Main then ends with.
func TestWhatTheTableDoesNotPermitEndsTheConnection(t *testing.T) {
	e := newTestEngine(t)
	for _, test := range violations(t) {
		t.Run(test.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			go io.Copy(io.Discard, ours)
			go ours.Write(test.data)
			err := e.serve(t.Context(), theirs)
			var exit *cli.Exit
			if !errors.As(err, &exit) || exit.Status != StatusViolation || !strings.Contains(err.Error(), test.log) {
				t.Errorf("it ended with %v, want %q", err, test.log)
			}
		})
	}
}

// TestAViolationEndsTheProcess: the same to the real process, one row of each
// sort.
func TestAViolationEndsTheProcess(t *testing.T) {
	c := keyFolder(t)
	for _, test := range violations(t) {
		switch test.name {
		case "a kind that does not exist", "a request before the keys", "a request with a lax boolean", "a frame a byte too large":
		default:
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			log := &rig.Log{}
			c.Stderr = log
			conn, wait, err := startProcess(c)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(test.data); err != nil && !errors.Is(err, syscall.EPIPE) {
				t.Fatal(err)
			}
			// It ends by itself, with our end still open.
			conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			for in := bufio.NewReader(conn); ; {
				if _, _, err := readFrame(in); err != nil {
					break
				}
			}
			var exit *exec.ExitError
			if err := wait(); !errors.As(err, &exit) || exit.ExitCode() != StatusViolation {
				t.Errorf("it ended with %v, want exit status %d", err, StatusViolation)
			}
			if !strings.Contains(log.String(), test.log) {
				t.Errorf("the log does not say %q:\n%s", test.log, log)
			}
		})
	}
}

// TestASignerEndsWithItsCA: also with one that was killed, because the kernel
// closes the connection.
func TestASignerEndsWithItsCA(t *testing.T) {
	c := keyFolder(t)
	conn, wait, err := startProcess(c)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := wait(); err != nil {
		t.Errorf("the signer ended with %v", err)
	}
}

func TestAKilledSignerIsAwayAndComesBack(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := keyFolder(t)
	log := &rig.Log{}
	c.Stderr = log
	client := start(t, c)
	defer client.Close()
	key := newKey25519(t)
	if _, err := client.Sign(t.Context(), loginRequest(key)); err != nil {
		t.Fatal(err)
	}

	// Callers in flight, and one after, hear that the signer is away; nobody
	// hangs, and nobody gets a certificate of nobody.
	pid := lastPid(t, log)
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for {
				if _, err := client.Sign(t.Context(), loginRequest(key)); err != nil {
					if f := fault.Of(err); f.Kind != fault.Unavailable || f.Reason != fault.SignerAway {
						t.Errorf("got %v", err)
					}
					return
				}
			}
		})
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	callers.Wait()
	if keys := client.Keys(); len(keys.UserCA) != 1 {
		t.Error("the CA forgot its keys while the signer is away")
	}
	rig.Eventually(t, 30*time.Second, "the signer is back", func() bool {
		_, err := client.Sign(t.Context(), loginRequest(key))
		return err == nil
	})
	if lastPid(t, log) == pid {
		t.Error("the signer is back as the same process")
	}
	client.Close()
	if _, err := client.Sign(t.Context(), loginRequest(key)); fault.ReasonOf(err) != fault.SignerAway {
		t.Errorf("a closed client: %v", err)
	}
}

// TestWhyASignerDoesNotStartReachesTheCA: the person who starts the CA reads the
// signer's own words.
func TestWhyASignerDoesNotStartReachesTheCA(t *testing.T) {
	for _, test := range []struct {
		name, text string
		reason     fault.Reason
		spoil      func(t *testing.T, c *Config)
	}{
		{"another passphrase", "passphrase does not open", fault.ConfigInvalid, func(t *testing.T, c *Config) {
			write(t, c.PassphraseFile, "another horse battery staple")
		}},
		{"an empty passphrase file", "less than 12 bytes", fault.ConfigInvalid, func(t *testing.T, c *Config) { write(t, c.PassphraseFile, "\n") }},
		{"no passphrase file", "no passphrase file is configured", fault.ConfigInvalid, func(t *testing.T, c *Config) { c.PassphraseFile = "" }},
		{"a passphrase file that is not there", "is not there", fault.ConfigInvalid, func(t *testing.T, c *Config) { c.PassphraseFile += "x" }},
		{"no keys", "is not there", fault.ConfigInvalid, func(t *testing.T, c *Config) { c.Keys = t.TempDir() }},
		{"two CAs' private keys exchanged", "does not belong to", fault.ConfigInvalid, func(t *testing.T, c *Config) {
			exchange(t, filepath.Join(c.Keys, "user-ca.age"), filepath.Join(c.Keys, "session-ca.age"))
		}},
		{"one key with two jobs", "has two jobs", fault.ConfigInvalid, func(t *testing.T, c *Config) {
			write(t, filepath.Join(c.Keys, "user-ca.pub"), read(t, filepath.Join(c.Keys, "session-ca.pub")))
		}},
		{"a CA without a key", "there is no CA key for host", fault.ConfigInvalid, func(t *testing.T, c *Config) {
			write(t, filepath.Join(c.Keys, "host-ca.pub"), "")
		}},
		{"a key file that was changed", "", fault.SignerAway, func(t *testing.T, c *Config) {
			text := read(t, filepath.Join(c.Keys, "user-ca.age"))
			write(t, filepath.Join(c.Keys, "user-ca.age"), text[:len(text)-1]+"x")
		}},
		{"a program that is no signer", "", fault.SignerAway, func(t *testing.T, c *Config) { c.Program = []string{"/bin/true"} }},
		{"a program that is not there", "", fault.SignerAway, func(t *testing.T, c *Config) { c.Program = []string{"/nowhere/sallyport"} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := keyFolder(t)
			test.spoil(t, &c)
			client, err := Start(t.Context(), c)
			if err == nil {
				client.Close()
				t.Fatal("the signer started")
			}
			f := fault.Of(err)
			if f.Reason != test.reason || !strings.Contains(f.Show(), test.text) {
				t.Errorf("got %q (%s), want %q (%s)", f.Show(), f.Reason, test.text, test.reason)
			}
			if strings.Contains(f.Show(), testPassphrase) {
				t.Error("the passphrase is shown")
			}
		})
	}
}

// TestManyAskAtOnce: answers reach who asked, in whatever order they come.
func TestManyAskAtOnce(t *testing.T) {
	client := start(t, keyFolder(t))
	key := newKey25519(t)
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			for i := range 20 {
				var r cert.Request
				var serial id.Serial
				switch i % 3 {
				case 0:
					q := loginRequest(key)
					r, serial = q, q.Serial
				case 1:
					q := sessionRequest(key)
					r, serial = q, q.Serial
				case 2:
					q := hostRequest(key)
					r, serial = q, q.Serial
				}
				c, err := client.Sign(t.Context(), r)
				if err != nil {
					t.Error(err)
					return
				}
				if c.Serial != uint64(serial) {
					t.Errorf("asked for serial %d and got %d", serial, c.Serial)
				}
			}
		})
	}
	callers.Wait()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exchange(t *testing.T, a, b string) {
	t.Helper()
	x, y := read(t, a), read(t, b)
	write(t, a, y)
	write(t, b, x)
}
