package idtoken

import (
	"errors"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// named is the cause of a refusal of somebody whom a good token of an issuer
// names: it was refused for what it is used for.
type named struct {
	name  id.Identity
	cause error
}

func (n *named) Error() string {
	if n.cause == nil {
		return "of " + string(n.name)
	}
	return "of " + string(n.name) + ": " + n.cause.Error()
}

func (n *named) Unwrap() error { return n.cause }

func of(name id.Identity, err error) error {
	f := fault.Of(err)
	return f.Because(&named{name, f.Err})
}

// Refused is who was refused by an error of Login or Renew, for the audit log; ""
// where the token itself is not good, and names nobody.
func Refused(err error) id.Identity {
	var n *named
	if errors.As(err, &n) {
		return n.name
	}
	return ""
}
