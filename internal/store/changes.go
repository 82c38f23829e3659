package store

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

func (a Actor) didToNode(kind audit.Kind, n Node) audit.Event {
	e := a.did(kind)
	e.Node, e.NodeID = n.Name, n.ID
	return e
}

// nodeChanges is what two states of a node differ in, of what admins and join
// tokens decide. The zero Node is none: everything of the other has changed.
func nodeChanges(from, to Node) []audit.Change {
	var c changes
	c.add("name", string(from.Name), string(to.Name))
	c.add("addr", from.Addr, to.Addr)
	c.list("other name", from.Names, to.Names)
	c.labels(from.Labels, to.Labels)
	c.list("host key", fingerprints(from.HostKeys), fingerprints(to.HostKeys))
	c.add("strict", yes(from.Strict), yes(to.Strict))
	c.add("agent key", pinPrint(from.Pin), pinPrint(to.Pin))
	return c
}

func proxyChanges(from, to Proxy) []audit.Change {
	var c changes
	c.add("name", string(from.Name), string(to.Name))
	c.add("addr", from.Addr, to.Addr)
	c.list("egress", from.Egress, to.Egress)
	c.list("host key", fingerprints([]string{from.HostKey}), fingerprints([]string{to.HostKey}))
	c.add("key", pinPrint(from.Pin), pinPrint(to.Pin))
	return c
}

// changes collects what differs.
type changes []audit.Change

func (c *changes) add(what, from, to string) {
	if from != to {
		*c = append(*c, audit.Change{What: what, From: from, To: to})
	}
}

// list tells each element that went, and each that came.
func (c *changes) list(what string, from, to []string) {
	for _, s := range from {
		if !slices.Contains(to, s) {
			c.add(what, s, "")
		}
	}
	for _, s := range to {
		if !slices.Contains(from, s) {
			c.add(what, "", s)
		}
	}
}

func (c *changes) labels(from, to map[string]string) {
	names := map[string]bool{}
	for name := range from {
		names[name] = true
	}
	for name := range to {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c.add("label "+name, from[name], to[name])
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// fingerprints names host keys in authorized_keys form as ssh-keygen -l does.
func fingerprints(lines []string) (prints []string) {
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if blob, err := base64.StdEncoding.DecodeString(fields[1]); err == nil {
			sum := sha256.Sum256(blob)
			prints = append(prints, pinPrint(sum[:]))
		}
	}
	return prints
}

// pinPrint is a SHA-256 as people know it.
func pinPrint(sum []byte) string {
	if len(sum) == 0 {
		return ""
	}
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum)
}
