package policy

import (
	"maps"
	"slices"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Decide answers for one login on one node.
func (p *Policy) Decide(s Subject, n Node, l id.Login) Decision {
	return p.For(s).Decide(n, l)
}

// Logins are what s has on n, in the order of their names, AnyLogin first.
func (p *Policy) Logins(s Subject, n Node) []LoginRoles {
	return p.For(s).Logins(n)
}

// Duties say what s may do in Sallyport itself.
func (p *Policy) Duties(s Subject) (isAdmin, isAuditor bool) {
	for _, r := range p.For(s).rules {
		isAdmin = isAdmin || slices.Contains(r.Duties, admin)
		isAuditor = isAuditor || slices.Contains(r.Duties, auditor)
	}
	return isAdmin, isAuditor
}

// Access is what one subject may do anywhere. Whoever asks about many nodes
// takes one, so that groups and claims are matched once. The zero Access
// denies.
type Access struct {
	rules  []*rule // whose who matches, in the order of their names
	reason fault.Reason
}

// For matches s against all roles.
func (p *Policy) For(s Subject) Access {
	if p == nil || len(p.rules) == 0 {
		return Access{}
	}
	a := Access{reason: fault.NoRole}
	read := readSubject(s)
	if !read.ok {
		return a
	}
	for i := range p.rules {
		if r := &p.rules[i]; r.matchesSubject(&read) {
			a.rules = append(a.rules, r)
		}
	}
	return a
}

// Decide answers for one login on one node.
func (a Access) Decide(n Node, l id.Login) Decision {
	if a.reason == "" {
		return deny(Denial{Reason: fault.NoPolicy}, n, l)
	}
	if _, err := id.ParseLogin(string(l)); err != nil {
		return deny(Denial{Reason: fault.NoRole}, n, l)
	}
	if _, err := id.ParseNodeName(string(n.Name)); err != nil {
		return deny(Denial{Reason: fault.NoRole}, n, l)
	}
	there := a.on(n)
	grant, denier := there.combine(l)
	switch {
	case len(grant.Roles) > 0:
		return Decision{Grant: &grant}
	case denier != nil:
		return deny(Denial{Reason: fault.DeniedByRole, Role: denier.name, Logins: there.logins()}, n, l)
	}
	if logins := there.logins(); len(logins) > 0 {
		return deny(Denial{Reason: fault.LoginNotAllowed, Logins: logins}, n, l)
	}
	return deny(Denial{Reason: fault.NoRole}, n, l)
}

func deny(d Denial, n Node, l id.Login) Decision {
	d.Node, d.Login = n.Name, l
	return Decision{Denial: &d}
}

// Logins are what the subject has on n, in the order of their names, AnyLogin
// first.
func (a Access) Logins(n Node) []LoginRoles {
	if _, err := id.ParseNodeName(string(n.Name)); err != nil {
		return nil
	}
	return a.on(n).logins()
}

// local are the rules that match a subject and a node.
type local []*rule

func (a Access) on(n Node) local {
	var l local
	for _, r := range a.rules {
		if r.matchesNode(n) {
			l = append(l, r)
		}
	}
	return l
}

// combine is the whole logic of a decision. denier is the role to name if the
// grant is empty because of a denial: the first that took away what another
// role gives, or that refuses everything whether anybody gives it or not.
func (l local) combine(login id.Login) (g Grant, denier *rule) {
	var denied channelSet
	for _, r := range l {
		if r.Deny && r.matchesLogin(login) {
			denied |= r.channels
			if denier == nil && r.channels == everyChannel {
				denier = r
			}
		}
	}
	var given channelSet
	for _, r := range l {
		if r.Deny || !r.matchesLogin(login) {
			continue
		}
		given |= r.channels
		if left := r.channels &^ denied; left != 0 {
			g.Roles = append(g.Roles, RoleGrant{
				Role: r.name, Channels: left.list(), MaxSeconds: r.seconds, Recording: r.recording,
			})
		}
	}
	if denier == nil && given != 0 {
		denier = l.firstDenier(login, given)
	}
	return g, denier
}

func (l local) firstDenier(login id.Login, given channelSet) *rule {
	for _, r := range l {
		if r.Deny && r.matchesLogin(login) && r.channels&given != 0 {
			return r
		}
	}
	return nil
}

// logins asks combine about every login that a rule names, so that a listing
// never promises what a decision refuses.
func (l local) logins() []LoginRoles {
	names := map[id.Login]bool{}
	for _, r := range l {
		if !r.Deny {
			maps.Copy(names, r.logins)
		}
	}
	var list []LoginRoles
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if g, _ := l.combine(name); len(g.Roles) > 0 {
			list = append(list, LoginRoles{name, g.Names()})
		}
	}
	return list
}
