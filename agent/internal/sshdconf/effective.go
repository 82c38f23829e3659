package sshdconf

import (
	"slices"
	"strings"
)

// Effective is what `sshd -T` says: each keyword in lower case with its values,
// one per line that it printed.
type Effective map[string][]string

// ParseEffective reads the output of `sshd -T`.
func ParseEffective(out []byte) Effective {
	e := Effective{}
	for line := range strings.Lines(string(out)) {
		keyword, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if keyword != "" && keyword == strings.ToLower(keyword) {
			e[keyword] = append(e[keyword], value)
		}
	}
	return e
}

// One is the value of a keyword that has one, "" when sshd does not know the
// keyword.
func (e Effective) One(keyword string) string {
	if v := e[keyword]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Unset says whether a keyword that names a file or a command has no value.
func (e Effective) Unset(keyword string) bool {
	v := e.One(keyword)
	return v == "" || v == "none"
}

// List is the value of a keyword that is a list with commas; "none" is empty.
func (e Effective) List(keyword string) []string {
	if e.Unset(keyword) {
		return nil
	}
	return strings.Split(e.One(keyword), ",")
}

// Want is what has to be in effect: keyword to values, as `sshd -T` shows them.
// All of them must be there; others may be, too, where a keyword is given more
// than once.
type Want map[string][]string

// WantOf is what a file that Render made asks for.
func WantOf(dropIn []byte) Want {
	w := Want{}
	for _, l := range parse(dropIn) {
		if l.Keyword != "" {
			w[l.Keyword] = append(w[l.Keyword], strings.Join(l.Args, " "))
		}
	}
	return w
}

// Missing returns the keywords of w, sorted, that are not in effect in e.
func (w Want) Missing(e Effective) []string {
	var missing []string
	for keyword, values := range w {
		for _, v := range values {
			if !slices.Contains(e[keyword], v) {
				missing = append(missing, keyword)
				break
			}
		}
	}
	slices.Sort(missing)
	return missing
}
