package audit

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/plain"
)

// printer writes events for people, or as they were logged. Its columns keep the
// width that the first events gave them: those that follow come one by one.
type printer struct {
	w      io.Writer
	json   bool
	zone   *time.Location
	least  []int // widths
	widths []int // nil before the head was written
}

// roomy are columns for events that nobody has seen yet.
var roomy = []int{6, 19, 18, 24, 8, 10, 8}

var head = []string{"EVENT", "TIME", "WHAT", "WHO", "LOGIN", "NODE", "SESSION", "WHY"}

func (p *printer) print(entries []wire.AuditEntry) error {
	var rows [][]string
	for _, e := range entries {
		if p.json {
			if _, err := fmt.Fprintf(p.w, "%s\n", e.Event); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, p.row(e))
	}
	if p.json {
		return nil
	}
	if p.widths == nil {
		rows = append([][]string{head}, rows...)
		p.widths = append(make([]int, 0, len(head)), p.least...)
		p.widths = append(p.widths, make([]int, len(head)-len(p.least))...)
		for _, row := range rows {
			for i, text := range row {
				p.widths[i] = max(p.widths[i], utf8.RuneCountInString(text))
			}
		}
	}
	var out strings.Builder
	for _, row := range rows {
		line := ""
		for i, text := range row {
			line += text + strings.Repeat(" ", max(0, p.widths[i]-utf8.RuneCountInString(text))+2)
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(p.w, out.String())
	return err
}

// row is an event in the columns of head. One that this version cannot read
// stands there with its number.
func (p *printer) row(entry wire.AuditEntry) []string {
	row := make([]string, len(head))
	row[0] = strconv.FormatInt(entry.Index, 10)
	e, err := audit.Entry{Index: entry.Index, Leaf: entry.Event}.Event()
	if err != nil {
		row[2] = "(not readable)"
		return row
	}
	who := string(e.Identity)
	if who == "" {
		who = e.Actor
	} else if e.Actor != "" && e.Actor != who && !strings.HasPrefix(e.Actor, "proxy:") && e.Actor != "ca" {
		who += " by " + e.Actor
	}
	row[1] = time.UnixMicro(e.At).In(p.zone).Format("2006-01-02 15:04:05")
	for i, text := range []string{string(e.Kind), who, string(e.Login), string(e.Node), string(e.Session), why(e)} {
		row[2+i] = plain.Text(text)
	}
	return row
}

// why is what an event says beside its columns, in a few words.
func why(e audit.Event) string {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if e.Reason != "" {
		add("%s", e.Reason)
	}
	if e.Text != "" {
		add("%s", e.Text)
	}
	if len(e.Roles) > 0 && e.Text == "" {
		add("role %s", strings.Join(e.Roles, ", "))
	}
	if c := e.Certificate; c != nil {
		add("serial %d", c.Serial)
	}
	if e.Policy != nil && e.Policy.Revision > 0 {
		add("revision %d", e.Policy.Revision)
	}
	if e.Token != nil {
		add("token %s for a %s", e.Token.ID, e.Token.Part)
	}
	for _, c := range e.Changes {
		add("%s: %s to %s", c.What, orNothing(c.From), orNothing(c.To))
	}
	if e.Count > 1 {
		add("%d times", e.Count)
	}
	return strings.Join(words, "; ")
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
