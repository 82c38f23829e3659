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
}

// health says whether this CA can do its work: the database answers.
func (p *people) health(c *call) (Health, error) {
	if err := p.Store.Ping(c.Context()); err != nil {
		return Health{}, err
	}
	return Health{"ok"}, nil
}
