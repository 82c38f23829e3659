package recordings

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/bundle"
	"github.com/sallyport-ssh/sallyport/login/internal/figures"
	"github.com/sallyport-ssh/sallyport/login/internal/plain"
)

// print tells r to a person.
func (r result) print(w io.Writer, v *verifyCommand) {
	p := printer{w}
	p.head(r)
	if r.Recording != nil {
		p.about(r)
	}
	for _, u := range r.Unchecked {
		p.line("not checked: %s", u)
	}
	switch r.Keys {
	case fromFile:
		p.line("by the keys in %s", v.Trust)
	case fromLogin:
		p.line("by the keys that this login knows")
	case fromBundle:
		p.line("by the keys in the bundle, which you have compared")
	}
	switch {
	case r.Verified:
		fmt.Fprintln(w, "verified.")
	case len(r.Findings) > 0:
		p.findings(r)
	default:
		p.unknown(r)
	}
}

// printer writes lines.
type printer struct{ w io.Writer }

func (p printer) line(format string, args ...any) { fmt.Fprintf(p.w, "  "+format+"\n", args...) }

func (p printer) head(r result) {
	name := string(r.Session)
	if name == "" {
		name = plain.Text(r.Evidence)
	}
	fmt.Fprintf(p.w, "recording  %s", name)
	if about := r.Recording; about != nil {
		counts := figures.Count(about.Commands, "command") + ", " + figures.Count(about.Files, "file")
		fmt.Fprintf(p.w, "   %s, %s", counts, figures.Lasted(seconds(about.Lasted)))
	}
	fmt.Fprintln(p.w)
}

// about tells what the recording says of itself.
func (p printer) about(r result) {
	about := r.Recording
	client, _, err := net.SplitHostPort(about.Client)
	if err != nil {
		client = about.Client
	}
	p.line("opened by certificate serial %d for %s, login %s, node %s, from %s", about.Serial, plain.Text(string(about.Identity)),
		plain.Text(string(about.Login)), plain.Text(string(about.Node)), plain.Text(client))
	role := "role "
	if len(about.Roles) > 1 {
		role = "roles "
	}
	p.line("allowed by %s%s, policy %d", role, plain.List(about.Roles), about.Revision)
	frames := figures.Number(int64(about.Frames)) + " frames"
	if !damaged(r.Report) {
		frames += ", unbroken"
	}
	frames += "; sealed by proxy " + plain.Text(string(about.Proxy))
	if log := r.Log; log != nil && log.Sealed >= 0 {
		frames += fmt.Sprintf("; in the log at %s, under checkpoint %s", figures.Number(log.Sealed), figures.Number(log.Size))
		if n := len(log.Witnesses); n > 0 {
			frames += fmt.Sprintf(", cosigned by %d", n)
		}
	}
	p.line("%s", frames)
	if about.Cut {
		p.line("cut: the proxy died; it is complete up to what was delivered")
	}
	switch {
	case about.Encrypted && about.Opened:
		p.line("content encrypted; opened, and as it was sealed")
	case about.Encrypted:
		p.line("content encrypted; to open it as well: --identity FILE")
	}
}

func damaged(r bundle.Report) bool {
	for _, f := range r.Findings {
		if f.Flaw == bundle.Damaged {
			return true
		}
	}
	return false
}

// findings tells what does not hold, and what that means, once for each kind of
// flaw in a row.
func (p printer) findings(r result) {
	fmt.Fprintln(p.w, "NOT verified:")
	for i, f := range r.Findings {
		p.line("%s: %s", f.Where, plain.Text(f.What))
		if i+1 == len(r.Findings) || r.Findings[i+1].Flaw != f.Flaw {
			p.line("  %s", f.Flaw.Means())
		}
	}
}

// unknown tells of evidence that fits together, and of which nobody whom the
// person trusts says that it is genuine.
func (p printer) unknown(r result) {
	fmt.Fprintln(p.w, "NOT verified: everything fits together, and only keys that came with it say so.")
	fmt.Fprintln(p.w, "Whoever makes up a bundle makes up its keys, too. Compare these with what the house")
	fmt.Fprintln(p.w, "told you by another way, by telephone or on paper:")
	for _, f := range r.along.Fingerprints() {
		p.line("%-10s  %s", f.Use, plain.Text(f.Key))
	}
	fmt.Fprintf(p.w, "If they are the same:  sallyport recording verify --trust-bundle %s\n", quote(r.Evidence))
	fmt.Fprintf(p.w, "With keys of your own: sallyport recording verify --trust FILE %s\n", quote(r.Evidence))
}

// quote makes a name fit to be copied into a shell.
func quote(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("./_-", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return "'" + strings.ReplaceAll(plain.Text(name), "'", `'\''`) + "'"
	}
	return name
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
