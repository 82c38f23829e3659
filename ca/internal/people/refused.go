package people

import (
	"context"
	"net/http"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// refusedLogin tells the log of a login that err refuses, and returns err. who is
// set where the issuer named somebody.
func (p *people) refusedLogin(c *call, who id.Identity, err error) error {
	f := fault.Of(err)
	if f.Kind != fault.Internal && f.Kind != fault.Unavailable { // those decide nothing
		p.Refusals.Tell(c.Context(), audit.Event{
			Kind: audit.LoginRefused, Reason: string(f.Reason), Actor: string(who), Identity: who,
		}, c.Caller.From)
	}
	return err
}

// tellDuties has every route tell where a proven caller asks for what is an
// auditor's. What is an admin's, the gate refuses.
func (p *people) tellDuties(routes []door.Route[Caller]) []door.Route[Caller] {
	for i, r := range routes {
		routes[i].Handle = func(w http.ResponseWriter, c *call) error {
			err := r.Handle(w, c)
			if fault.ReasonOf(err) == fault.NotAuditor && c.Caller.Name() != "" {
				return p.refusedDuty(c.Context(), c.Caller, c.Pattern, err)
			}
			return err
		}
	}
	return routes
}

// refusedDuty tells the log that a proven caller asked for what is an admin's or
// auditor's, and returns err; or what kept it from being told.
func (p *people) refusedDuty(ctx context.Context, c Caller, asked string, err error) error {
	event := audit.Event{
		Kind: audit.AdminRefused, Outcome: audit.Refused, Reason: string(fault.ReasonOf(err)),
		Actor: string(c.Name()), Client: c.From.String(), Identity: c.Name(), Text: asked,
	}
	if log := p.Store.Append(ctx, event); log != nil {
		return log
	}
	return err
}

// refusedPolicy tells the log that an admin's policy was not applied, and returns
// err; or what kept it from being told.
func (p *people) refusedPolicy(c *call, files map[string]string, err error) error {
	f := fault.Of(err)
	if f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		return err // nothing was decided
	}
	by := c.Caller.actor()
	event := audit.Event{
		Kind: audit.PolicyRefused, Outcome: audit.Refused, Reason: string(f.Reason), Actor: by.Name, Client: by.Client,
		Policy: audit.PolicyOf(0, files),
	}
	if log := p.Store.Append(c.Context(), event); log != nil {
		return log
	}
	return err
}
