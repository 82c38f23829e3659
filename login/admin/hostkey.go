package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

const (
	maxKeyFile  = 64 << 10 // bytes
	scanTimeout = 10 * time.Second
)

// readKeys returns the keys in files as the CA wants them: authorized_keys form
// without options and comments. The files may be sshd's .pub files or what
// ssh-keyscan printed.
func readKeys(env cli.Env, files []string) ([]string, error) {
	var keys []ssh.PublicKey
	for _, name := range files {
		text, err := readKeyFile(env, name)
		if err != nil {
			return nil, err
		}
		found, err := parseKeys(name, text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, found...)
	}
	return lines(keys), nil
}

func readKeyFile(env cli.Env, name string) (string, error) {
	in := env.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", fault.New(fault.Invalid, fault.KeyRefused, "%s cannot be read", name).Because(err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxKeyFile+1))
	if err != nil || len(text) > maxKeyFile {
		return "", fault.New(fault.Invalid, fault.KeyRefused, "%s cannot be read", name).Because(err)
	}
	return string(text), nil
}

// parseKeys never puts a line into an error: somebody may have given the private
// key's file.
func parseKeys(name, text string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		// Markers of known_hosts, "@revoked" and "@cert-authority", mean anything but
		// "this is the node's key". A host before the key reads as an option.
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || line[0] == '@' {
			return nil, fault.New(fault.Invalid, fault.KeyRefused, "%s:%d is no public host key, as in: ssh-ed25519 AAAA...", name, n+1)
		}
		if _, is := key.(*ssh.Certificate); is {
			return nil, fault.New(fault.Invalid, fault.KeyRefused, "%s:%d is a certificate; give the key", name, n+1)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fault.New(fault.Invalid, fault.KeyRefused, "there is no key in %s", name)
	}
	return keys, nil
}

func lines(keys []ssh.PublicKey) []string {
	var list []string
	for _, k := range keys {
		list = append(list, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// scanKeys asks the sshd at addr for its keys. They are worth nothing until
// somebody vouches for them: with fingerprints, or by answering y.
func scanKeys(ctx context.Context, env cli.Env, addr string, fingerprints []string) ([]string, error) {
	keys, err := scan(ctx, addr)
	if err != nil {
		return nil, err
	}
	if len(fingerprints) > 0 {
		return vouched(addr, keys, fingerprints)
	}
	fmt.Fprintf(env.Stderr, "%s shows:\n", addr)
	for _, k := range keys {
		fmt.Fprintf(env.Stderr, "  %s  %s\n", ssh.FingerprintSHA256(k), k.Type())
	}
	fmt.Fprintf(env.Stderr, "Compare on the node's console:  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\nAre they the same? [y/N] ")
	answer, _ := bufio.NewReader(io.LimitReader(env.Stdin, 100)).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return nil, fault.New(fault.Denied, fault.NodeHostKey, "nobody vouched for the keys of %s, and nothing was added", addr).
			Then("in a script: --scan --fingerprint SHA256:...")
	}
	return lines(keys), nil
}

// vouched keeps the keys with these fingerprints; each has to be there.
func vouched(addr string, keys []ssh.PublicKey, fingerprints []string) ([]string, error) {
	var kept []ssh.PublicKey
	for _, want := range fingerprints {
		i := slices.IndexFunc(keys, func(k ssh.PublicKey) bool { return ssh.FingerprintSHA256(k) == want })
		if i < 0 {
			return nil, fault.New(fault.Denied, fault.NodeHostKey, "%s shows no key with fingerprint %s", addr, want).
				Then("somebody may stand between you and the node; take the key from its console")
		}
		kept = append(kept, keys[i])
	}
	return lines(kept), nil
}

// scan connects once for each kind of key, as ssh-keyscan does, and leaves when
// the key has been proven: the callback runs after the exchange's signature was
// verified (RFC 4253, section 8).
func scan(ctx context.Context, addr string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for _, algorithm := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA512} {
		key, err := scanOne(ctx, addr, algorithm)
		if err != nil {
			return nil, err
		}
		if key != nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fault.New(fault.Unavailable, fault.NodeHostKey, "%s has no host key of a kind that is taken", addr).
			Then("on the node, as root: ssh-keygen -A")
	}
	return keys, nil
}

// scanOne returns nil if the sshd has no key of that kind.
func scanOne(ctx context.Context, addr, algorithm string) (ssh.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fault.New(fault.Unavailable, fault.NodeAway, "%s cannot be reached from here", addr).Because(err).
			Then("copy /etc/ssh/ssh_host_ed25519_key.pub from it and use --host-key")
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var key ssh.PublicKey
	seen := errors.New("key seen")
	_, _, _, err = ssh.NewClientConn(conn, addr, &ssh.ClientConfig{
		HostKeyAlgorithms: []string{algorithm},
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			key = k
			return seen
		},
	})
	var none *ssh.AlgorithmNegotiationError
	if key != nil || errors.As(err, &none) {
		return key, nil
	}
	return nil, fault.New(fault.Unavailable, fault.NodeAway, "what answers at %s does not speak SSH", addr).Because(err)
}
