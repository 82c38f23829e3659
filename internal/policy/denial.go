package policy

import (
	"fmt"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Text says why not, in one clause for the person who asked.
func (d Denial) Text() string {
	switch d.Reason {
	case fault.NoPolicy:
		return "no policy has been applied yet, so nobody may enter any node"
	case fault.NoRole, fault.LoginNotAllowed:
		return fmt.Sprintf("no role gives you %s on %s", d.Login, d.Node)
	case fault.DeniedByRole:
		return fmt.Sprintf("role %s denies %s on %s", d.Role, d.Login, d.Node)
	}
	return "no reason was given"
}

// Next is what they can do instead; "" where there is nothing.
func (d Denial) Next() string {
	if len(d.Logins) == 0 {
		if d.Reason == fault.NoPolicy || d.Reason == "" {
			return ""
		}
		return "You have no login there. To see where you have one: sallyport ls"
	}
	var have []string
	for _, l := range d.Logins {
		name := string(l.Login)
		if l.Login == AnyLogin {
			name = "any other login"
		}
		have = append(have, fmt.Sprintf("%s (%s)", name, strings.Join(l.Roles, ", ")))
	}
	return "You have there: " + strings.Join(have, ", ") + "."
}

// Fault is the denial where it crosses the API or reaches a terminal.
func (d Denial) Fault() *fault.Error {
	reason := d.Reason
	if reason == "" {
		reason = fault.NoRole
	}
	f := fault.New(fault.Denied, reason, "%s", d.Text())
	f.Next = d.Next()
	return f
}
