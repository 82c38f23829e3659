package agent

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Times of the long poll. The CA answers after pollWait when nothing has
// changed; a silence beyond that is a broken connection.
const (
	pollWait  = 4 * time.Minute
	pollGrace = 30 * time.Second
	fetchWait = 30 * time.Second // of one answer that is not waited for
)

// follow sends what the CA says until ctx ends.
func (a *agent) follow(ctx context.Context, version int64, news chan<- wire.AgentState) {
	away := backoff{first: time.Second, most: 5 * time.Minute}
	reason := fault.Reason("")
	for ctx.Err() == nil {
		state, err := a.ask(ctx, version, pollWait)
		if err == nil {
			if reason != "" {
				a.log.Info("the CA answers again")
			}
			away.reset()
			reason, version = "", state.Version
			select {
			case news <- state:
			case <-ctx.Done():
			}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if now := fault.ReasonOf(err); now != reason { // once, and not at every attempt of days
			a.log.Warn("the CA does not answer; all stays as it is", "reason", now, "err", err)
			reason = now
		}
		away.failed()
		select {
		case <-time.After(away.wait()):
		case <-ctx.Done():
		}
	}
}

// ask waits for a state that differs from version, for wait at most.
func (a *agent) ask(ctx context.Context, version int64, wait time.Duration) (wire.AgentState, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+pollGrace)
	defer cancel()
	var state wire.AgentState
	path := fmt.Sprintf("%s?since=%d&wait=%d", wire.PathAgentState, max(version, 0), int(wait.Seconds()))
	return state, a.client.Do(ctx, http.MethodGet, path, nil, &state)
}

// fetch takes the CA's word as it is now.
func (a *agent) fetch(ctx context.Context) error {
	state, err := a.ask(ctx, 0, 0)
	if err != nil {
		return err
	}
	a.want, err = a.want.accept(state, a.enrolled.Node)
	return err
}

// report is what the CA is told.
func (a *agent) report() wire.AgentReport {
	r := wire.AgentReport{
		Version: a.installed, Sshd: a.node.version.String(), StrictOn: a.strictOn,
		Drift: append([]string{}, a.drift...), Problems: append([]string{}, a.problems...),
	}
	for _, task := range []string{taskState, taskInstall, taskRenew, taskLook, taskRepair} {
		if text := a.failures[task]; text != "" {
			r.Problems = append(r.Problems, "could not "+task+": "+text)
		}
	}
	if a.want.state.Strict && !a.want.state.Proven {
		r.Problems = append(r.Problems, strictWaits)
	}
	r.Drift, r.Problems = clip(r.Drift), clip(r.Problems)
	return r
}

// Limits of a report; the CA takes 100 lines and 64 KiB.
const (
	maxLines = 50
	maxLine  = 500 // bytes
)

func clip(lines []string) []string {
	if len(lines) > maxLines {
		lines = append(lines[:maxLines-1], fmt.Sprintf("and %d more", len(lines)-maxLines+1))
	}
	for i, l := range lines {
		if len(l) > maxLine {
			lines[i] = l[:maxLine] + " ..."
		}
	}
	return lines
}

// sendReport tells the CA; if it is away it will hear the next one.
func (a *agent) sendReport(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	if err := a.client.Do(ctx, http.MethodPost, wire.PathAgentReport, a.report(), nil); err != nil {
		a.log.Debug("the report was not taken", "err", err)
	}
}
