package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

// The words of a role judge themselves while the file is read, so that an error
// points at the word. A word that can never match is an error, because in a
// role that denies it would let through what its author meant to stop.

// wildcard alone stands for anything.
const wildcard = "*"

const maxWord = 256 // bytes

// checkWord refuses what nobody writes on purpose.
func checkWord(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is empty", what)
	case len(s) > maxWord:
		return fmt.Errorf("%s is longer than %d bytes", what, maxWord)
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("%s %q has white space around it", what, s)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%s %q has unprintable characters in it", what, s)
	}
	return nil
}

// roleName is shown to people, stands in logs and in certificates' records.
type roleName string

func (n *roleName) UnmarshalText(text []byte) error {
	s := string(text)
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	if s == "" || len(s) > 64 || strings.Trim(s[:1], "-_.") == "" ||
		strings.ContainsFunc(s, func(r rune) bool { return !legal(r) }) {
		return fmt.Errorf("role name %q is not of up to 64 of a-z, 0-9, '-', '_' and '.'", s)
	}
	*n = roleName(s)
	return nil
}

// word is the name of a label or claim.
type word string

func (w *word) UnmarshalText(text []byte) error {
	s := string(text)
	if err := checkWord("name", s); err != nil {
		return err
	}
	if strings.Contains(s, wildcard) {
		return fmt.Errorf("name %q has a \"*\" in it; names are matched exactly", s)
	}
	*w = word(s)
	return nil
}

// value is a group, or the value of a label or claim: exact, or "*" for any.
type value string

func (v *value) UnmarshalText(text []byte) error {
	s := string(text)
	if err := checkWord("value", s); err != nil {
		return err
	}
	if s != wildcard && strings.Contains(s, wildcard) {
		return fmt.Errorf("%q is matched exactly; a \"*\" stands alone, for any", s)
	}
	*v = value(s)
	return nil
}

// identityPattern is an identity in which "*" stands for any characters.
type identityPattern string

func (p *identityPattern) UnmarshalText(text []byte) error {
	s := string(text)
	if _, err := id.ParseIdentity(strings.ReplaceAll(s, wildcard, "x")); err != nil {
		return err
	}
	*p = identityPattern(s)
	return nil
}

// nodePattern is a node's name in which "*" stands for any characters, dots
// among them.
type nodePattern string

func (p *nodePattern) UnmarshalText(text []byte) error {
	s := string(text)
	if _, err := id.ParseNodeName(strings.ReplaceAll(s, wildcard, "x")); err != nil {
		return err
	}
	*p = nodePattern(s)
	return nil
}

// loginName is a login, or "*" for every login.
type loginName string

func (l *loginName) UnmarshalText(text []byte) error {
	s := string(text)
	if s != wildcard {
		if _, err := id.ParseLogin(s); err != nil {
			return err
		}
	}
	*l = loginName(s)
	return nil
}

// channelName is from the closed list, or "*" for all of it.
type channelName Channel

const allChannels channelName = wildcard

func (c *channelName) UnmarshalText(text []byte) error {
	if s := Channel(text); s != wildcard && !slices.Contains(Channels(), s) {
		return fmt.Errorf("unknown channel %q; legal: %s", s, legalChannels())
	}
	*c = channelName(text)
	return nil
}

func legalChannels() string {
	var names []string
	for _, c := range Channels() {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}

// recipient is an age recipient, to whom a recording is encrypted.
type recipient string

func (r *recipient) UnmarshalText(text []byte) error {
	s := string(text)
	if _, err := recording.ParseRecipients([]string{s}); err != nil {
		// The library's words are about bech32; what people do wrong is simpler.
		if strings.HasPrefix(s, "AGE-SECRET-KEY-") {
			return errors.New("this is a secret key: write its recipient, which age-keygen -y prints, and make a new key")
		}
		return fmt.Errorf("%q is no age recipient: age1... or age1pq1..., as age-keygen prints it", s)
	}
	*r = recipient(s)
	return nil
}

// duty is what a role lets people do in Sallyport itself.
type duty string

const (
	admin   duty = "admin"   // applies policy, adds nodes, makes join tokens
	auditor duty = "auditor" // sees everybody's sessions and recordings
)

func (d *duty) UnmarshalText(text []byte) error {
	if s := duty(text); s != admin && s != auditor {
		return fmt.Errorf("unknown duty %q; legal: admin, auditor", s)
	}
	*d = duty(text)
	return nil
}
