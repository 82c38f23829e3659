// Package signer is the only process that can sign with the CA keys. The CA
// starts it, or reaches it over a unix socket where it runs as an OS user of its
// own, and asks for certificates and for checkpoints of the audit log by their
// typed fields.
//
// # Security model
//
// The signer does not trust the CA that asks. A CA process that somebody took
// over can have certificates signed that its profiles allow, as long as it is
// taken over, and nothing else:
//
//   - It never gets a private key. The keys are decrypted in this process alone,
//     whose memory no debugger and no core dump reads (PR_SET_DUMPABLE).
//   - It never has bytes signed that it chose. A request is fields; this process
//     derives the certificate from them, lints the exact bytes, and signs what it
//     linted, once (cert.Draft).
//   - It gets no certificate for later: validity is compared with this process's
//     own clock. And no serial twice, so that what is revoked by serial is one
//     certificate.
//   - It gets one history of the audit log signed: each checkpoint begins with
//     the one before, as long as this process lives (checkpoint.go). Witnesses
//     hold it to that for longer.
//   - It cannot look for a way in by trial: requests stand in one table with the
//     state that permits each (table.go, after OpenSSH's monitor.c). What is
//     unknown, out of order, malformed or too large ends the process, with a log
//     line and an exit status. What is well-formed and not allowed is refused,
//     and logged.
//   - A bug in this process opens little: before the first request it gives up
//     new privileges, core dumps and, by seccomp, every system call that the
//     rest of its life does not need. There is no socket, no open and no exec
//     among them (fence.go).
//
// What it does not protect from: root; a reader of both the key folder and its
// passphrase. Where the CA starts the signer, both run as one user, and who can
// run code in the CA process can read both files. Give the signer its own user
// (Listen) to keep them apart. Key material is not locked into memory; encrypt swap.
package signer

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/user"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/keyfile"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// StatusViolation is the exit status of a signer that was asked something which
// its table does not permit.
const StatusViolation = 3

// flags of `sallyport signer`.
type flags struct {
	Keys           string `required:"" placeholder:"DIR" help:"Folder with the CA keys."`
	PassphraseFile string `placeholder:"FILE" help:"File with the passphrase of the keys; without it systemd's credential sallyport-passphrase."`
	Listen         string `placeholder:"PATH" help:"Unix socket to listen on; without it the connection is file descriptor 3."`
	Peer           string `placeholder:"USER" help:"OS user of the CA, the only one who may connect to --listen."`
	RequireFence   bool   `help:"Refuse to run where the kernel has no seccomp."`
}

// Main is `sallyport signer`. It returns when the CA closes the connection it
// was started with, when ctx ends, or with an error.
func Main(ctx context.Context, env cli.Env, args []string) error {
	var f flags
	if _, err := cli.Parse(env, "sallyport signer", "Hold the CA keys and sign certificates.", &f, args); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(env.Stderr, nil)).With("part", "signer", "pid", os.Getpid())
	door, err := openDoor(f)
	if err != nil {
		return err
	}
	defer door.Close()
	if err := run(ctx, f, env, door, log); err != nil {
		log.Error("signer ends", "reason", fault.ReasonOf(err), "error", err)
		return err
	}
	return nil
}

// run is the signer's life, and its order is the point: what needs the outside
// happens before the fence, and no request is read before it stands.
func run(ctx context.Context, f flags, env cli.Env, door door, log *slog.Logger) error {
	// 1. Nobody looks into this process from before there is something to see.
	if err := hide(); err != nil {
		return door.fail(err)
	}
	// 2. The keys, and nothing left of how they were opened.
	file := keyfile.PassphraseFile(f.PassphraseFile, env.Getenv)
	if readableByAll(file) {
		log.Warn("everybody on this machine can read the passphrase", "file", file)
	}
	keys, err := openFiles(f.Keys, file)
	if err != nil {
		return door.fail(err)
	}
	debug.FreeOSMemory() // scrypt's
	// 3. The zone file, which slog would open at its first line.
	_ = time.Now().Local().String()
	// 4. The fence.
	if err := fence(f.Listen != ""); err != nil {
		if f.RequireFence {
			return door.fail(fault.New(fault.Unavailable, fault.ConfigInvalid, "the signer cannot be fenced in on this kernel").Because(err))
		}
		log.Warn("signer runs without its fence", "error", err)
	}
	// 5. Requests.
	e, err := newEngine(keys, log)
	if err != nil {
		return door.fail(err)
	}
	log.Info("signer ready", "user_ca", prints(keys.Public().UserCA),
		"session_ca", prints(keys.Public().SessionCA), "host_ca", prints(keys.Public().HostCA), "log", keys.Public().Log)
	return door.serve(ctx, e)
}

func openFiles(dir, passphraseFile string) (KeySource, error) {
	pass, err := keyfile.ReadPassphrase(passphraseFile)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	return OpenFiles(dir, pass)
}

func readableByAll(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o004 != 0
}

// uidOf takes a user's name or number.
func uidOf(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fault.New(fault.Invalid, fault.ConfigInvalid, "there is no OS user %q", name).Because(err)
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}

// door is how requests come in: the one connection that the CA handed over, or
// a socket.
type door interface {
	// serve answers until the CA is gone for good, ctx ends, or a violation.
	serve(ctx context.Context, e *engine) error
	// fail tells a waiting CA why there will be no signer, and returns err.
	fail(err error) error
	Close() error
}

func openDoor(f flags) (door, error) {
	if f.Listen == "" {
		conn, err := inherited()
		if err != nil {
			return nil, fault.New(fault.Invalid, fault.BadRequest, "the CA starts this command; it is not for people").
				Then("to run it as its own user: sallyport signer --listen PATH --peer USER").Because(err)
		}
		return &handed{conn: conn}, nil
	}
	if f.Peer == "" {
		return nil, fault.New(fault.Invalid, fault.BadRequest, "--listen wants --peer: the OS user that the CA runs as")
	}
	uid, err := uidOf(f.Peer)
	if err != nil {
		return nil, err
	}
	return listen(f.Listen, uid)
}

// handed is the connection that the CA started this process with.
type handed struct{ conn net.Conn }

func (d *handed) serve(ctx context.Context, e *engine) error { return e.serve(ctx, d.conn) }
func (d *handed) Close() error                               { return d.conn.Close() }

func (d *handed) fail(err error) error {
	f := fault.Of(err)
	d.conn.SetWriteDeadline(time.Now().Add(time.Second))
	d.conn.Write(appendFrame(nil, msgFailed, &failedMsg{string(f.Reason), f.Text, f.Next}))
	return err
}
