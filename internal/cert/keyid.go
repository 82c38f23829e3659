package cert

import (
	"fmt"
	"strings"
)

// A KeyID is a list of name=value pairs, separated by one space, in the order
// of its profile. sshd logs it at its default level, so it is what joins a
// node's own log to the recording. No value may contain a space or an equals
// sign; the id types see to that.

// keyID writes pairs of names and values.
func keyID(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(pairs[i])
		b.WriteByte('=')
		b.WriteString(pairs[i+1])
	}
	return b.String()
}

// readKeyID returns the values of exactly these names in exactly this order.
func readKeyID(text string, names ...string) ([]string, error) {
	fields := strings.Split(text, " ")
	if len(fields) != len(names) {
		return nil, fmt.Errorf("KeyID %q is not of the form %s=...", text, strings.Join(names, "=... "))
	}
	values := make([]string, len(names))
	for i, name := range names {
		value, ok := strings.CutPrefix(fields[i], name+"=")
		if !ok || value == "" {
			return nil, fmt.Errorf("KeyID %q has no %s in place %d", text, name, i+1)
		}
		values[i] = value
	}
	return values, nil
}
