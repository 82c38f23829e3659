package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/login/internal/figures"
	"github.com/sallyport-ssh/sallyport/login/internal/plain"
)

type verifyCommand struct {
	What string `arg:"" help:"A copy that fetch made, a proof that prove made, or a checkpoint."`
	From string `help:"Also show that the copy begins with this older checkpoint." placeholder:"FILE"`
	JSON bool   `name:"json" help:"Print JSON."`
	trustOptions
}

// result is what verify found, for scripts.
type result struct {
	Verified  bool         `json:"verified"`
	Origin    string       `json:"origin,omitempty"`
	Size      int64        `json:"size,omitempty"` // of the log, in events
	Root      string       `json:"root,omitempty"`
	Witnesses []seen       `json:"witnesses,omitempty"`
	Earlier   []int64      `json:"earlier,omitempty"` // sizes of the checkpoints that it begins with
	Event     *int64       `json:"event,omitempty"`   // that was proven
	Damage    audit.Damage `json:"damage,omitempty"`
	At        *int64       `json:"at,omitempty"` // the first event that is touched
	Text      string       `json:"text,omitempty"`

	first, last audit.Entry
	all         bool // the whole log was verified
}

type seen struct {
	Name string `json:"name"`
	At   int64  `json:"at"` // Unix seconds
}

// Run verifies, prints what holds, and ends with status 1 where it does not.
func (v *verifyCommand) Run(c *call) error {
	keys, err := v.find(c)
	if err != nil {
		return err
	}
	r, err := v.verify(c, keys.Trust)
	var damage *audit.DamageError
	if errors.As(err, &damage) {
		r = result{Damage: damage.Damage, Text: plain.Text(damage.Text)}
		if damage.Index >= 0 {
			r.At = &damage.Index
		}
	} else if err != nil {
		return err
	}
	if v.JSON {
		if err := json.NewEncoder(c.env.Stdout).Encode(r); err != nil {
			return err
		}
	} else if r.Verified {
		r.print(c.env.Stdout, keys, c.now.Location())
	}
	if r.Verified {
		return nil
	}
	f := fault.New(fault.Invalid, fault.LogDamaged, "not verified: %s: %s", r.Damage, r.Text).Then("%s", next(r.Damage))
	return &cli.Exit{Status: 1, Silent: v.JSON, Err: f}
}

// next is what somebody who found damage does.
func next(d audit.Damage) string {
	switch d {
	case audit.WrongKey:
		return "is this the right log, and --key its key? The operators publish it; compare it by another way"
	case audit.Missing:
		return "continue the copy: sallyport audit fetch DIR; if it is still missing, the log's operators have to explain it"
	case audit.Unwitnessed:
		return "fetch it again in a few minutes; until then the log's operators alone vouch for it"
	case audit.Malformed:
		return "is this a copy that sallyport audit fetch made?"
	}
	return "keep this copy as it is; compare it with another one, made elsewhere or before"
}

func (v *verifyCommand) verify(c *call, trust *audit.Trust) (result, error) {
	info, err := os.Stat(v.What)
	if err == nil && info.IsDir() {
		return v.verifyCopy(c, trust)
	}
	if v.From != "" {
		return result{}, fault.New(fault.Invalid, fault.BadRequest, "--from goes with a copy of the log: two checkpoints alone do not show what is between them").
			Then("run: sallyport audit fetch DIR")
	}
	data, err := readNote(v.What)
	if err != nil {
		return result{}, err
	}
	if strings.HasPrefix(strings.TrimSpace(string(data)), "{") {
		return verifyProof(data, trust)
	}
	signed, err := trust.Open(data)
	return about(signed), err
}

func (v *verifyCommand) verifyCopy(c *call, trust *audit.Trust) (result, error) {
	var earlier []audit.Signed
	if v.From != "" {
		note, err := readNote(v.From)
		if err != nil {
			return result{}, err
		}
		// How many witnesses had seen it then is another matter.
		old, err := trust.OpenUnwitnessed(note)
		if err != nil {
			return result{}, err
		}
		earlier = append(earlier, old)
	}
	copied, err := audit.VerifyCopy(c.ctx, os.DirFS(v.What), trust, earlier...)
	if err != nil {
		return result{}, err
	}
	r := about(copied.Signed)
	r.first, r.last, r.all = copied.First, copied.Last, true
	for _, old := range copied.Earlier {
		r.Earlier = append(r.Earlier, old.Size)
	}
	return r, nil
}

// verifyProof verifies what prove wrote.
func verifyProof(data []byte, trust *audit.Trust) (result, error) {
	var p wire.AuditProof
	if err := json.Unmarshal(data, &p); err != nil {
		return result{}, fault.New(fault.Invalid, fault.BadRequest, "this is neither a proof nor a checkpoint").Because(err)
	}
	signed, err := trust.Open([]byte(p.Checkpoint))
	if err != nil {
		return result{}, err
	}
	if err := checkProof(signed.Checkpoint, p); err != nil {
		return result{}, err
	}
	r := about(signed)
	r.Event, r.first = &p.Entry.Index, audit.Entry{Index: p.Entry.Index, Leaf: p.Entry.Event}
	return r, nil
}

func checkProof(c audit.Checkpoint, p wire.AuditProof) error {
	proof := make(audit.Proof, len(p.Hashes))
	for i, h := range p.Hashes {
		if len(h) != len(proof[i]) {
			return &audit.DamageError{Damage: audit.Malformed, Index: -1, Text: "the proof has a hash that is none"}
		}
		proof[i] = audit.Hash(h)
	}
	return c.CheckInclusion(p.Entry.Index, p.Entry.Event, proof)
}

func about(s audit.Signed) result {
	r := result{Verified: true, Origin: s.Origin, Size: s.Size, Root: s.Root.String()}
	for _, w := range s.Witnesses {
		r.Witnesses = append(r.Witnesses, seen{w.Witness, w.At})
	}
	return r
}

// print tells a person what holds.
func (r result) print(w io.Writer, keys known, zone *time.Location) {
	line := func(format string, args ...any) { fmt.Fprintf(w, "  "+format+"\n", args...) }
	switch {
	case r.Event != nil:
		fmt.Fprintf(w, "event %s  of %s\n", figures.Number(*r.Event), plain.Text(r.Origin))
		p := printer{zone: zone}
		line("%s", strings.Join(words(p.row(wire.AuditEntry{Index: r.first.Index, Event: r.first.Leaf})[1:]), "  "))
		line("in the log, under the checkpoint of %s", figures.Count(r.Size, "event"))
	case r.all:
		fmt.Fprintf(w, "audit log  %s   %s%s\n", plain.Text(r.Origin), figures.Count(r.Size, "event"), r.span(zone))
		line("every event, tile and hash is what was signed")
	default:
		fmt.Fprintf(w, "checkpoint  %s   %s\n", plain.Text(r.Origin), figures.Count(r.Size, "event"))
		line("root %s", r.Root)
	}
	for _, size := range r.Earlier {
		line("begins with all of the checkpoint of %s", figures.Count(size, "event"))
	}
	for _, s := range r.Witnesses {
		line("seen by witness %s, %s", plain.Text(s.Name), time.Unix(s.At, 0).In(zone).Format("2006-01-02 15:04:05"))
	}
	line("by %s", keys.by())
	if !r.all && r.Event == nil {
		line("not checked: the events, which are not here")
	}
	fmt.Fprintln(w, "verified.")
}

// words are those columns that are not empty.
func words(row []string) (all []string) {
	for _, text := range row {
		if text != "" {
			all = append(all, text)
		}
	}
	return all
}

// span is from when to when the events are.
func (r result) span(zone *time.Location) string {
	first, err := r.first.Event()
	last, errLast := r.last.Event()
	if r.Size == 0 || err != nil || errLast != nil {
		return ""
	}
	day := func(at int64) string { return time.UnixMicro(at).In(zone).Format("2006-01-02 15:04") }
	return fmt.Sprintf(", %s to %s", day(first.At), day(last.At))
}
