package ca

import (
	"net/url"

	"github.com/sallyport-ssh/sallyport/ca/internal/outlet"
	"github.com/sallyport-ssh/sallyport/internal/siem"
)

// openOutlets makes what carries the audit log away. What a receiver does is no
// business of the start: only a configuration that can never work is an error.
func (ca *CA) openOutlets() error {
	from := siem.Encoder{Origin: ca.config.URL}
	if u, err := url.Parse(ca.config.URL); err == nil {
		from.Origin = u.Host
	}
	for _, c := range ca.config.Outlets {
		o, err := outlet.New(c, ca.process, from, ca.store, ca.log)
		if err != nil {
			return err
		}
		ca.outlets = append(ca.outlets, o)
	}
	return nil
}
