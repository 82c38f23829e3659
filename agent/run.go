package agent

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

type runCommand struct{ places }

func (r runCommand) run(ctx context.Context, env cli.Env) error {
	limitMemory()
	n, err := r.openNode(ctx, env, running)
	if err != nil {
		return err
	}
	defer n.close()
	enrolled, err := loadEnrolment(n.config.Dir)
	if err != nil {
		return err
	}
	a, err := newAgent(n, enrolled)
	if err != nil {
		return err
	}
	return a.run(ctx)
}

// agent keeps one node as the CA wants it. Its fields belong to the goroutine of
// run; the ones that poll and watch only send.
type agent struct {
	node     *node
	enrolled enrolment
	client   *wire.Client
	log      *slog.Logger

	want      wanted
	keys      []ssh.PublicKey // host keys of sshd when it was last looked at
	installed int64           // version of the state that is in force, 0 for none
	strictOn  bool            // in force
	mend      mend
	retry     backoff // of what could not be installed
	renewal   backoff // of certificates that could not be had

	drift    []string
	seen     []string // the drift that was last told and, if so configured, mended
	problems []string
	failures map[string]string // what could not be done, by task, until it is
}

func newAgent(n *node, enrolled enrolment) (*agent, error) {
	client, err := n.client(enrolled.Door)
	if err != nil {
		return nil, err
	}
	return &agent{
		node: n, enrolled: enrolled, client: client, log: n.log.With("node", enrolled.Name), failures: map[string]string{},
		retry: backoff{first: 30 * time.Second, most: 30 * time.Minute}, renewal: backoff{first: time.Minute, most: time.Hour},
	}, nil
}

// Tasks whose failure is told to the CA until it has passed.
const (
	taskState   = "state"
	taskInstall = "install"
	taskRenew   = "renew"
	taskLook    = "look"
	taskRepair  = "repair"
)

// run works until ctx ends. Whatever fails is logged, reported, and tried again;
// what is installed stays.
func (a *agent) run(ctx context.Context) error {
	if err := a.begin(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var senders sync.WaitGroup
	defer senders.Wait()
	defer cancel()
	news, changes := make(chan wire.AgentState), make(chan struct{}, 1)
	senders.Go(func() { a.follow(ctx, a.want.state.Version, news) })
	w, err := newWatcher(a.log, filepath.Dir(a.node.program.Config), changes)
	if err != nil {
		return err
	}
	senders.Go(func() { w.run(ctx) })
	w.look(a.node.installer.Watched())

	a.log.Info("agent ready", "version", a.installed, "sshd", a.node.version.String(), "strict", a.strictOn)
	for {
		select {
		case <-ctx.Done():
			return nil
		case state := <-news:
			a.hear(state)
			a.install(ctx)
		case <-changes:
			a.check(ctx)
		case <-time.After(a.untilRenewal(time.Now())):
			a.note(taskRenew, a.renew(ctx))
			a.install(ctx)
		case <-time.After(a.retry.wait()):
			a.install(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		w.look(a.node.installer.Watched())
		a.sendReport(ctx)
	}
}

// begin takes up what the last process left.
func (a *agent) begin(ctx context.Context) error {
	if err := a.node.installer.Recover(ctx); err != nil {
		// sshd may be away or broken by somebody else. Reporting that is what an
		// agent is for.
		a.note(taskInstall, err)
	}
	source, err := a.node.installer.Source()
	if err != nil {
		return err
	}
	if source != nil {
		if a.want, err = restore(source, a.enrolled.Node); err != nil {
			a.log.Warn("what was stored is not taken up; the CA is asked", "err", err)
			a.want = wanted{}
		} else {
			a.installed = a.want.state.Version
		}
	}
	a.check(ctx)
	return nil
}

// hear takes the CA's word, or keeps the last.
func (a *agent) hear(state wire.AgentState) {
	want, err := a.want.accept(state, a.enrolled.Node)
	if a.note(taskState, err) {
		a.want = want
	}
}

// install applies what is wanted when it differs from what is installed, or
// could not be installed before.
func (a *agent) install(ctx context.Context) {
	if a.want.state.Version == 0 {
		return
	}
	if a.note(taskInstall, a.apply(ctx)) {
		a.retry.reset()
	} else {
		a.retry.failed()
	}
}

// apply renders and installs, unless that is what is there.
func (a *agent) apply(ctx context.Context) error {
	bare, err := a.node.installer.Bare(ctx)
	if err != nil {
		return err
	}
	user, err := a.node.commandUser()
	if err != nil {
		return err
	}
	set, err := a.want.set(bare, a.node.version, user)
	if err != nil {
		return err
	}
	if !a.node.installer.Has(set) {
		if err := a.node.installer.Install(ctx, set); err != nil {
			return err
		}
		a.log.Info("installed", "version", a.want.state.Version, "strict", a.want.strict(), "certificates", len(set.Certificates))
		returnMemory()
	}
	a.installed = a.want.state.Version
	a.problems = a.look(bare)
	if a.strictOn, err = a.node.strict(ctx); err != nil {
		return err
	}
	a.drift, err = a.node.installer.Drift(ctx)
	return err
}

// note remembers, for the report, what could not be done, and logs it when it is
// new. It returns whether err is nil.
func (a *agent) note(task string, err error) bool {
	if err == nil {
		delete(a.failures, task)
		return true
	}
	if errors.Is(err, context.Canceled) {
		return false // told to stop
	}
	text := fault.Of(err).Text
	if a.failures[task] != text {
		a.log.Error("could not "+task, "reason", fault.ReasonOf(err), "err", err)
	}
	a.failures[task] = text
	return false
}
