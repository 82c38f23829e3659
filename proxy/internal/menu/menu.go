// Package menu lets a person choose one of the logins that they have, on a
// terminal at the other end of an SSH channel: type to search, move, press Enter.
//
// It draws with the few control sequences that every terminal since the VT100
// has, on the alternate screen, and understands the keys that those send
// (key.go). It reads one byte at a time, so that what is typed behind the Enter
// is the node's.
//
// Names, labels and roles come from admins and CA; control characters in them
// are not drawn.
package menu

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Item is one login on one node.
type Item struct {
	Login  id.Login
	Node   id.NodeName
	Labels string // "env=prod tier=web"
	Roles  string // that give it
	text   string // what a search looks at, in lower case
}

// Name is what people type: login@node.
func (i Item) Name() string { return string(i.Login) + "@" + string(i.Node) }

// Items makes one item for each login of each node, by node.
func Items(nodes []wire.ReachableNode) []Item {
	var items []Item
	for _, n := range nodes {
		var labels []string
		for k, v := range n.Labels {
			labels = append(labels, k+"="+v)
		}
		slices.Sort(labels)
		for _, l := range n.Logins {
			i := Item{Login: l.Login, Node: n.Name, Labels: clean(strings.Join(labels, " ")), Roles: clean(strings.Join(l.Roles, ", "))}
			i.text = strings.ToLower(i.Name() + " " + i.Labels + " " + i.Roles)
			items = append(items, i)
		}
	}
	slices.SortStableFunc(items, func(a, b Item) int { return strings.Compare(string(a.Node), string(b.Node)) })
	return items
}

// List writes the items for somebody without a terminal, and for `ssh proxy ls`.
func List(w io.Writer, items []Item, newline string) error {
	name, labels := widths(items)
	var b strings.Builder
	for _, i := range items {
		line := fmt.Sprintf("%-*s  %-*s  %s", name, i.Name(), labels, i.Labels, i.Roles)
		b.WriteString(strings.TrimRight(line, " ") + newline)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Menu is one choice under way.
type Menu struct {
	items []Item

	mu         sync.Mutex // the terminal may be resized while a key is read
	out        io.Writer
	cols, rows int
	search     string
	found      []Item
	at, top    int // the chosen row, and the first that is shown
	done       bool
}

// New prepares a menu for a terminal of this size; 0 is taken for 80 by 24.
func New(out io.Writer, items []Item, cols, rows int) *Menu {
	m := &Menu{items: items, found: items, out: out}
	m.setSize(cols, rows)
	return m
}

// Resize draws for another size.
func (m *Menu) Resize(cols, rows int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setSize(cols, rows)
	if !m.done {
		m.draw()
	}
}

func (m *Menu) setSize(cols, rows int) {
	if cols <= 0 || rows <= 0 {
		cols, rows = 80, 24
	}
	m.cols, m.rows = min(max(cols, 20), 500), min(max(rows, 4), 500)
}

// Choose reads keys from in until one is chosen. ok is false when the person
// leaves, or in ends.
func (m *Menu) Choose(in io.Reader) (chosen Item, ok bool) {
	m.mu.Lock()
	io.WriteString(m.out, "\x1b[?1049h\x1b[?25l") // alternate screen, no cursor
	m.draw()
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.done = true
		io.WriteString(m.out, "\x1b[?25h\x1b[?1049l")
		m.mu.Unlock()
	}()
	var keys reader
	for {
		var b [1]byte
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return Item{}, false
		}
		k := keys.next(b[0])
		if k == keyNone {
			continue
		}
		m.mu.Lock()
		chosen, end := m.press(k)
		m.mu.Unlock()
		if end {
			return chosen, chosen.Node != ""
		}
	}
}

// press carries out one key; end says that the choice is over. m.mu is held.
func (m *Menu) press(k key) (chosen Item, end bool) {
	switch k {
	case keyEnter:
		if m.at < len(m.found) {
			return m.found[m.at], true
		}
	case keyLeave:
		return Item{}, true
	case keyUp:
		m.at--
	case keyDown:
		m.at++
	case keyPageUp:
		m.at -= m.height()
	case keyPageDown:
		m.at += m.height()
	case keyHome:
		m.at = 0
	case keyEnd:
		m.at = len(m.found) - 1
	case keyErase:
		if n := len(m.search); n > 0 {
			m.filter(m.search[:n-1])
		}
	case keyEraseWord:
		m.filter(m.search[:strings.LastIndexByte(strings.TrimRight(m.search, " "), ' ')+1])
	case keyEraseAll:
		m.filter("")
	default:
		if len(m.search) < 100 {
			m.filter(m.search + string(rune(k)))
		}
	}
	m.at = max(0, min(m.at, len(m.found)-1))
	m.draw()
	return Item{}, false
}

// filter keeps the items in which every word of search stands somewhere.
func (m *Menu) filter(search string) {
	m.search, m.at, m.top = search, 0, 0
	words := strings.Fields(strings.ToLower(search))
	m.found = nil
	for _, i := range m.items {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(i.text, w) }) {
			m.found = append(m.found, i)
		}
	}
}

// height is how many items fit under the head and the search line.
func (m *Menu) height() int { return m.rows - 3 }

// draw writes the whole screen at once; m.mu is held.
func (m *Menu) draw() {
	if m.at < m.top {
		m.top = m.at
	}
	if m.at >= m.top+m.height() {
		m.top = m.at - m.height() + 1
	}
	var b strings.Builder
	b.WriteString("\x1b[H") // home; every line is then drawn over and cleared to its end
	line := func(s string) { b.WriteString(m.cut(s) + "\x1b[K\r\n") }
	line(fmt.Sprintf("Sallyport: %d of %d logins. Type to search, arrows, Enter; Ctrl-C leaves.", len(m.found), len(m.items)))
	line("search: " + m.search + "_")
	name, labels := widths(m.found)
	for row := range m.height() {
		n := m.top + row
		switch {
		case n < len(m.found):
			i := m.found[n]
			text := fmt.Sprintf("  %-*s  %-*s  %s", name, i.Name(), labels, i.Labels, i.Roles)
			if n == m.at {
				b.WriteString("\x1b[7m" + m.cut(">"+text[1:]) + "\x1b[0m\x1b[K\r\n")
				continue
			}
			line(text)
		case n == 0:
			line("  nothing matches")
		default:
			line("")
		}
	}
	b.WriteString("\x1b[J")
	io.WriteString(m.out, b.String())
}

// cut fits s into a line, one column short of the edge, where terminals differ.
func (m *Menu) cut(s string) string {
	r := []rune(s)
	return string(r[:min(len(r), m.cols-1)])
}

func widths(items []Item) (name, labels int) {
	for _, i := range items {
		name, labels = max(name, len(i.Name())), max(labels, len([]rune(i.Labels)))
	}
	return min(name, 60), min(labels, 60)
}

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
