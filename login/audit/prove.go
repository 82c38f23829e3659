package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/outfile"
)

type proveCommand struct {
	Event  int64  `arg:"" help:"The event's number, as ls lists it."`
	Output string `short:"o" default:"-" help:"Where to write the proof; - is standard output." placeholder:"FILE"`
	trustOptions
}

// Run writes a proof that was verified here.
func (p *proveCommand) Run(c *call) error {
	if p.Event < 0 {
		return fault.New(fault.Invalid, fault.BadRequest, "events are numbered from 0")
	}
	keys, err := p.find(c)
	if err != nil {
		return err
	}
	client, err := c.connect(c.ctx, c.env)
	if err != nil {
		return err
	}
	var proof wire.AuditProof
	if err := client.Do(c.ctx, http.MethodGet, fmt.Sprintf("%s?index=%d", wire.PathAuditProof, p.Event), nil, &proof); err != nil {
		return err
	}
	signed, err := keys.OpenUnwitnessed([]byte(proof.Checkpoint))
	if err == nil {
		err = checkProof(signed.Checkpoint, proof)
	}
	if err == nil && proof.Entry.Index != p.Event {
		err = fmt.Errorf("it proves event %d", proof.Entry.Index)
	}
	if err != nil {
		return fault.New(fault.Invalid, fault.LogDamaged, "the CA's proof does not hold: %v", err)
	}
	return outfile.Write(p.Output, c.env.Stdout, func(w io.Writer) error {
		// Indented or escaped, the event would be another one.
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(proof)
	})
}
