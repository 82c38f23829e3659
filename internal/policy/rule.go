package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

// rule is a role made ready for many questions.
type rule struct {
	role
	name     string
	channels channelSet
	seconds  int64 // 0 is no limit
	logins   map[id.Login]bool
	groups   map[string]bool
	ids      []pattern
	claims   []wanted  // all have to be there
	nodes    []pattern // none: labels alone decide
	labels   []wanted  // all have to be there

	recording RecordingRules
}

// wanted is a label or claim and the values of which it must have one.
type wanted struct {
	key    string
	values config.OneOrMore[value]
}

func newWanted(m map[word]config.OneOrMore[value]) []wanted {
	var list []wanted
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, wanted{string(key), m[key]})
	}
	return list
}

func (w wanted) has(have string) bool {
	return slices.ContainsFunc(w.values, func(v value) bool { return v == wildcard || string(v) == have })
}

// compile trusts that r was checked when it was read. The zero rule, which was
// not, matches nobody.
func compile(r role) rule {
	c := rule{role: r, name: string(r.Name), logins: map[id.Login]bool{}, groups: map[string]bool{}, recording: r.Recording.rules()}
	for _, g := range r.Who.Groups {
		c.groups[string(g)] = true
	}
	for _, i := range r.Who.Identities {
		c.ids = append(c.ids, newPattern(string(i)))
	}
	c.claims = newWanted(r.Who.Claims)
	if r.onlyDuties() {
		return c
	}
	c.labels = newWanted(r.Where.Labels)
	for _, n := range r.Where.Nodes {
		c.nodes = append(c.nodes, newPattern(string(n)))
	}
	for _, l := range r.As.Logins {
		c.logins[id.Login(l)] = true
	}
	for _, ch := range r.What.Channels {
		if ch == allChannels {
			c.channels = everyChannel
		}
		c.channels |= bit(Channel(ch))
	}
	if r.What.Max != nil {
		c.seconds = r.What.Max.Seconds()
	}
	return c
}

// opens says whether the rule is about nodes at all.
func (r *rule) opens() bool { return r.channels != 0 }

// matchesLogin is for a login that id.ParseLogin took, or for AnyLogin.
func (r *rule) matchesLogin(l id.Login) bool { return r.logins[l] || r.logins[AnyLogin] }

func (r *rule) matchesNode(n Node) bool {
	if !r.opens() || len(r.nodes) > 0 && !anyMatches(r.nodes, string(n.Name)) {
		return false
	}
	for _, w := range r.labels {
		if have, ok := n.Labels[w.key]; !ok || !w.has(have) {
			return false
		}
	}
	return true
}

func (r *rule) matchesSubject(s *subject) bool {
	if r.Who.everybody() || anyMatches(r.ids, string(s.Identity)) {
		return true
	}
	for _, g := range s.Groups {
		if r.groups[g] { // a group that its issuer calls "*" finds none here
			return true
		}
	}
	for _, w := range r.claims {
		if !slices.ContainsFunc(s.claims[w.key], w.has) {
			return false
		}
	}
	return len(r.claims) > 0
}

// pattern is text around wildcards: "web-*.example.com" is {"web-",
// ".example.com"}. One part is exact text.
type pattern []string

func newPattern(s string) pattern { return strings.Split(s, wildcard) }

// matches takes for each part between wildcards the first place where it fits,
// and so needs no second try: linear in s for each part, whatever s is.
func (p pattern) matches(s string) bool {
	last := len(p) - 1
	if last <= 0 {
		return last == 0 && p[0] == s
	}
	s, ok := strings.CutPrefix(s, p[0])
	if !ok {
		return false
	}
	s, ok = strings.CutSuffix(s, p[last])
	if !ok {
		return false
	}
	for _, part := range p[1:last] {
		if _, s, ok = strings.Cut(s, part); !ok {
			return false
		}
	}
	return true
}

func anyMatches(patterns []pattern, s string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool { return p.matches(s) })
}

// channelSet is a set of Channels, one bit each in the order of Channels().
type channelSet uint16

var everyChannel = func() (all channelSet) {
	for _, c := range channels {
		all |= bit(c)
	}
	return all
}()

// bit is 0 for what is no channel.
func bit(c Channel) channelSet {
	if i := slices.Index(channels, c); i >= 0 {
		return 1 << i
	}
	return 0
}

func (s channelSet) list() []Channel {
	var list []Channel
	for _, c := range channels {
		if s&bit(c) != 0 {
			list = append(list, c)
		}
	}
	return list
}
