package ca

import (
	"context"
	"maps"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/policydir"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// watchPolicy keeps the policy what the directory says.
func (ca *CA) watchPolicy(ctx context.Context) {
	w := policydir.New(ca.config.PolicyDir, ca.applyDir, ca.log)
	if err := w.Run(ctx); err != nil {
		ca.log.Error("the policy directory is not watched any longer; restart the CA", "err", err)
	}
}

// refusedDir tells the log that the directory's files are no policy, and returns
// err; or what kept it from being told, after which the files are tried again.
func (ca *CA) refusedDir(ctx context.Context, files map[string]string, err error) error {
	event := audit.Event{
		Kind: audit.PolicyRefused, Outcome: audit.Refused, Reason: string(fault.ReasonOf(err)), Actor: audit.CA,
		Text: "from the directory", Policy: audit.PolicyOf(0, files),
	}
	if log := ca.store.Append(ctx, event); log != nil {
		return log
	}
	return err
}

// applyDir applies the directory's files, unless they are in force. Of several
// CAs that watch the same files one is first, and the others find that it was.
func (ca *CA) applyDir(ctx context.Context, files map[string]string) error {
	if _, err := policy.Load(files); err != nil {
		return ca.refusedDir(ctx, files, err)
	}
	now, err := ca.store.Policy(ctx)
	if err != nil || now.Revision > 0 && maps.Equal(now.Files, files) {
		return err
	}
	next := store.Revision{Policy: wire.Policy{Author: "policy_dir", Applied: time.Now().Unix(), Files: files}}
	if _, err := ca.store.ApplyPolicy(ctx, store.Actor{Name: audit.CA}, next, now.Revision); err != nil {
		return err
	}
	return ca.directory.Refresh(ctx)
}
