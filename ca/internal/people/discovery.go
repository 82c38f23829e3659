package people

import (
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// discovery tells a new laptop everything that it needs.
func (p *people) discovery(*call) (wire.Discovery, error) {
	view, err := p.Directory.View()
	if err != nil {
		return wire.Discovery{}, err
	}
	d := p.Discovery
	d.Proxies = view.Addrs()
	d.Now = p.Now().Unix()
	return d, nil
}

// Health is what a load balancer asks for.
type Health struct {
	Status string `json:"status"` // "ok"
	// AuditLog is "ok", or "damaged": then somebody has to look, though logins and
	// sessions go on. What it is stands in the CA's own log.
	AuditLog string `json:"audit_log"`
}

// health says whether this CA can do its work: the database answers.
func (p *people) health(c *call) (Health, error) {
	if err := p.Store.Ping(c.Context()); err != nil {
		return Health{}, err
	}
	h := Health{Status: "ok", AuditLog: "ok"}
	if p.AuditLog.Damage() != nil {
		h.AuditLog = "damaged"
	}
	return h, nil
}
