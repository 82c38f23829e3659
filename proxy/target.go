package proxy

import (
	"errors"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// target is what an authenticated connection wants.
type target struct {
	way   wire.Way // WayMenu: nothing is named, so a menu, or the outside of a jump
	login id.Login
	node  id.NodeName
	fault *fault.Error // the name cannot be understood; told on the first channel
}

// target reads what the connection wants from its user name and from how it
// came.
func (a arrival) target(user string) target {
	malformed := func(err error) target {
		return target{fault: fault.New(fault.Denied, fault.BadRequest, "%v", err).Then("it looks like this: ssh login@node")}
	}
	if a.way != "" {
		login, err := id.ParseLogin(user)
		if err == nil && a.login != "" && a.login != login {
			err = errors.New("the connection was announced for the login " + string(a.login))
		}
		if err != nil {
			return malformed(err)
		}
		return target{way: a.way, login: login, node: a.node}
	}
	at := strings.LastIndexByte(user, '@')
	if at < 0 {
		return target{way: wire.WayMenu}
	}
	login, err := id.ParseLogin(user[:at])
	if err != nil {
		return malformed(err)
	}
	node, err := id.ParseNodeName(strings.ToLower(user[at+1:]))
	if err != nil {
		return malformed(err)
	}
	return target{way: wire.WayName, login: login, node: node}
}
