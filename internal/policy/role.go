package policy

import (
	"slices"

	"github.com/sallyport-ssh/sallyport/internal/config"
)

// role is one YAML document: what admins write. POLICY.md is its manual.
//
// Nothing that is absent means "everything": who, where, as and what are
// pointers, and Check refuses a role that leaves one of them out.
type role struct {
	Name   roleName `yaml:"role"`
	About  string   `yaml:"about"` // for people who read the file
	Deny   bool     `yaml:"deny"`  // refuse what matches, whatever other roles give
	Who    *who     `yaml:"who"`
	Where  *where   `yaml:"where"`
	As     *as      `yaml:"as"`
	What   *what    `yaml:"what"`
	Duties []duty   `yaml:"duties"` // in Sallyport itself

	Recording *recorded `yaml:"recording"` // beyond what is recorded of every session
}

// who matches a subject if any of its kinds does.
type who struct {
	Groups     []value                          `yaml:"groups"`
	Identities []identityPattern                `yaml:"identities"`
	Claims     map[word]config.OneOrMore[value] `yaml:"claims"` // all keys must match
}

// where matches a node if everything that is given does.
type where struct {
	Labels map[word]config.OneOrMore[value] `yaml:"labels"` // all keys must match
	Nodes  []nodePattern                    `yaml:"nodes"`
}

// as holds the logins. Templates from claims will stand here.
type as struct {
	Logins []loginName `yaml:"logins"`
}

// what holds what is given or refused. Command policy will stand here.
type what struct {
	Channels []channelName    `yaml:"channels"`
	Max      *config.Duration `yaml:"max"` // nil is no limit
}

// recorded is what a role wants of its sessions' recordings.
type recorded struct {
	Recipients []recipient      `yaml:"recipients"` // beside those that the CA names
	Retain     *config.Duration `yaml:"retain"`     // at least; nil leaves it to the CA
	Files      config.Bytes     `yaml:"files"`      // kept of each file that SFTP carries
	Forwards   config.Bytes     `yaml:"forwards"`   // kept of each direction of a forwarded connection
	Unechoed   bool             `yaml:"unechoed"`   // keep in clear what was typed without echo
}

// onlyDuties is a role that opens no node: it makes admins or auditors.
func (r *role) onlyDuties() bool {
	return len(r.Duties) > 0 && r.Where == nil && r.As == nil && r.What == nil
}

// Check sees to it that a role says everything that it has to say.
func (r *role) Check() error {
	switch {
	case r.Name == "":
		return config.At("role", "role is missing: every role has a name")
	case r.Who == nil:
		return config.At("who", "role %s does not say who; for everybody write who: {groups: [\"*\"]}", r.Name)
	case r.Deny && len(r.Duties) > 0:
		return config.At("duties", "a role that denies gives no duties")
	case r.Duties != nil && len(r.Duties) == 0:
		return config.At("duties", "duties is empty; leave it out or name some of: admin, auditor")
	case len(r.Duties) > 0 && r.Who.everybody():
		return config.At("duties", "everybody would be %s; name the groups or identities", r.Duties[0])
	case r.Recording != nil && (r.Deny || r.onlyDuties()):
		return config.At("recording", "recording has no meaning in a role that opens nothing")
	case r.onlyDuties():
		return nil
	case r.Where == nil:
		return config.At("where", "role %s does not say where; for every node write where: {nodes: [\"*\"]}", r.Name)
	case r.As == nil:
		return config.At("as", "role %s does not say as which logins; for every login write as: {logins: [\"*\"]}", r.Name)
	case r.What == nil:
		return config.At("what", "role %s does not say what; write what: {channels: [...]} with some of: %s", r.Name, legalChannels())
	case r.Deny && r.What.Max != nil:
		return config.At("what", "max has no meaning in a role that denies")
	case !r.Deny && slices.Contains(r.What.Channels, allChannels):
		// A later release may know channels that nobody has thought of today.
		return config.At("what", "a role that allows names its channels; legal: %s", legalChannels())
	}
	return nil
}

func (w *who) Check() error {
	switch {
	case w.Groups != nil && len(w.Groups) == 0:
		return config.At("groups", "groups is empty; for everybody write [\"*\"]")
	case w.Identities != nil && len(w.Identities) == 0:
		return config.At("identities", "identities is empty; for everybody write [\"*\"]")
	case w.Claims != nil && len(w.Claims) == 0:
		return config.At("claims", "claims is empty")
	case w.Groups == nil && w.Identities == nil && w.Claims == nil:
		return config.At("", "who is empty; name groups, identities or claims")
	}
	return checkValues("claims", w.Claims)
}

// everybody is who a "*" among groups or identities means: all that signed in,
// also those whose issuer gives them no group.
func (w *who) everybody() bool {
	return slices.Contains(w.Groups, wildcard) || slices.Contains(w.Identities, wildcard)
}

func (w *where) Check() error {
	switch {
	case w.Labels != nil && len(w.Labels) == 0:
		return config.At("labels", "labels is empty; for every node write nodes: [\"*\"]")
	case w.Nodes != nil && len(w.Nodes) == 0:
		return config.At("nodes", "nodes is empty; for every node write [\"*\"]")
	case w.Labels == nil && w.Nodes == nil:
		return config.At("", "where is empty; name labels or nodes")
	}
	return checkValues("labels", w.Labels)
}

func (a *as) Check() error {
	if len(a.Logins) == 0 {
		return config.At("logins", "logins is empty; name some, or write [\"*\"] for every login, root too")
	}
	return nil
}

func (w *what) Check() error {
	switch {
	case len(w.Channels) == 0:
		return config.At("channels", "channels is empty; legal: %s", legalChannels())
	case w.Max != nil && w.Max.Seconds() < 1:
		return config.At("max", "max is less than a second; for no limit leave it out")
	}
	return nil
}

// mostRecipients is how many a role may name: a recording's header holds them all.
const mostRecipients = 16

func (r *recorded) Check() error {
	switch {
	case r.Recipients != nil && len(r.Recipients) == 0:
		return config.At("recipients", "recipients is empty; leave it out, or name some")
	case len(r.Recipients) > mostRecipients:
		return config.At("recipients", "more than %d recipients", mostRecipients)
	case r.Retain != nil && r.Retain.Seconds() < 1:
		return config.At("retain", "retain is less than a second; leave it out for what the CA says")
	}
	return nil
}

// rules is what r comes to; nil asks for nothing.
func (r *recorded) rules() RecordingRules {
	if r == nil {
		return RecordingRules{}
	}
	rules := RecordingRules{Files: int64(r.Files), Forwards: int64(r.Forwards), Unechoed: r.Unechoed}
	for _, to := range r.Recipients {
		rules.Recipients = append(rules.Recipients, string(to))
	}
	if r.Retain != nil {
		rules.RetainSeconds = r.Retain.Seconds()
	}
	return rules
}

func checkValues(key string, values map[word]config.OneOrMore[value]) error {
	for name, list := range values {
		if len(list) == 0 {
			return config.At(key, "%s has no values; for any value write \"*\"", name)
		}
	}
	return nil
}
