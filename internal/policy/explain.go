package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Explain says how every role bears on a decision: those that match first, then
// the others, each in the order of their names. A subject whose claims or name
// cannot be read matches nothing.
func (p *Policy) Explain(s Subject, n Node, l id.Login) []RoleView {
	if p == nil {
		return nil
	}
	read := readSubject(s)
	var matching, others []RoleView
	for i := range p.rules {
		r := &p.rules[i]
		if !r.opens() {
			continue // duties open no node
		}
		if view := r.explain(&read, n, l); view.Matches {
			matching = append(matching, view)
		} else {
			others = append(others, view)
		}
	}
	return append(matching, others...)
}

func (r *rule) explain(s *subject, n Node, l id.Login) RoleView {
	view := RoleView{Role: r.name, Denies: r.Deny, Channels: r.channels.list(), MaxSeconds: r.seconds, Recording: r.recording}
	switch {
	case !s.ok:
		view.Why = []string{"the identity's name or claims cannot be read"}
	case !r.matchesSubject(s):
		view.Why = []string{"it is for " + r.audience()}
	case !r.matchesNode(n):
		view.Why = []string{r.whyNotNode(n)}
	case !r.matchesLogin(l):
		view.Why = []string{fmt.Sprintf("login %s is not among its logins", l)}
	default:
		view.Matches = true
		view.Why = append([]string{r.whySubject(s)}, r.whyNode(n)...)
		view.Why = append(view.Why, r.whyLogin(l))
	}
	return view
}

// audience says for whom the role is: "group eng or ops, identity bot@ci".
func (r *rule) audience() string {
	var kinds []string
	if len(r.Who.Groups) > 0 {
		kinds = append(kinds, "group "+oneOf(r.Who.Groups))
	}
	if len(r.Who.Identities) > 0 {
		kinds = append(kinds, "identity "+oneOf(r.Who.Identities))
	}
	if len(r.claims) > 0 {
		kinds = append(kinds, "claims "+describe(r.claims))
	}
	return strings.Join(kinds, ", or ")
}

func (r *rule) whySubject(s *subject) string {
	if r.Who.everybody() {
		return "everybody"
	}
	for _, g := range s.Groups {
		if r.groups[g] {
			return "group " + g
		}
	}
	for _, p := range r.ids {
		if p.matches(string(s.Identity)) {
			return "identity " + strings.Join(p, wildcard)
		}
	}
	return "claims " + describe(r.claims)
}

func (r *rule) whyNode(n Node) []string {
	var why []string
	if len(r.labels) > 0 {
		var have []string
		for _, w := range r.labels {
			have = append(have, w.key+"="+n.Labels[w.key])
		}
		why = append(why, "labels "+strings.Join(have, " "))
	}
	for _, p := range r.nodes {
		if p.matches(string(n.Name)) {
			why = append(why, "node "+strings.Join(p, wildcard))
			break
		}
	}
	return why
}

func (r *rule) whyNotNode(n Node) string {
	for _, w := range r.labels {
		have, ok := n.Labels[w.key]
		switch {
		case !ok:
			return fmt.Sprintf("%s has no label %s; it wants %s", n.Name, w.key, oneOf(w.values))
		case !w.has(have):
			return fmt.Sprintf("label %s is %s; it wants %s", w.key, have, oneOf(w.values))
		}
	}
	return fmt.Sprintf("%s is not among its nodes %s", n.Name, oneOf(r.Where.Nodes))
}

func (r *rule) whyLogin(l id.Login) string {
	if r.logins[l] {
		return "login " + string(l)
	}
	return "every login"
}

// describe writes "department=web, level=2 or 3".
func describe(list []wanted) string {
	var words []string
	for _, w := range list {
		words = append(words, w.key+"="+oneOf(w.values))
	}
	return strings.Join(words, " ")
}

// oneOf writes "a, b or c", and of long lists the beginning.
func oneOf[T ~string, L ~[]T](list L) string {
	const most = 5
	var words []string
	for _, w := range list {
		words = append(words, string(w))
	}
	slices.Sort(words)
	switch n := len(words); {
	case n > most:
		return strings.Join(words[:most], ", ") + fmt.Sprintf(" or %d more", n-most)
	case n > 1:
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}
