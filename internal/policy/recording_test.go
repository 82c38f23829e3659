package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Two auditors, by age-keygen.
const (
	auditorA = "age12ucc5qa04vsufzzn0dtnv84n0uq7ss4kduc8qcuanc33g4p965zshw8vq2"
	auditorB = "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z"
)

func TestRecordingIsRefusedWhereItIsWrong(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"no recipients":                   {"recording: {recipients: []}", "p.yaml:6:25: recipients is empty"},
		"a recipient that is none":        {"recording: {recipients: [age1xyz]}", `p.yaml:6:26: "age1xyz" is no age recipient`},
		"a recipient with a wrong letter": {"recording: {recipients: [" + strings.Replace(auditorA, "q", "p", 1) + "]}", "p.yaml:6:26: "},
		"an ssh key":                      {"recording: {recipients: [\"ssh-ed25519 AAAA\"]}", `p.yaml:6:26: "ssh-ed25519 AAAA" is no age recipient`},
		"a secret key":                    {"recording: {recipients: [AGE-SECRET-KEY-1ABC]}", "p.yaml:6:26: this is a secret key"},
		"too many recipients":             {"recording: {recipients: [" + strings.Repeat(auditorA+", ", 17) + "]}", "more than 16 recipients"},
		"no time":                         {"recording: {retain: 0s}", "p.yaml:6:21: retain is less than a second"},
		"a time that is none":             {"recording: {retain: for ever}", "p.yaml:6:21: "},
		"a size that is none":             {"recording: {files: all}", `p.yaml:6:20: "all" is no size`},
		"a size below nothing":            {"recording: {forwards: -1}", "p.yaml:6:23: "},
		"an unknown key":                  {"recording: {keep: 1d}", "keep"},
		"nothing":                         {"recording:", "recording has no value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(one(whole + tt.text + "\n"))
			if fault.ReasonOf(err) != fault.PolicyInvalid || !strings.Contains(fault.Of(err).Text, tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	for name, text := range map[string]string{
		"a role that denies":           whole + "deny: true\nrecording: {unechoed: true}\n",
		"a role that has duties alone": "role: r\nwho: {groups: [eng]}\nduties: [admin]\nrecording: {unechoed: true}\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(one(text))
			if err == nil || !strings.Contains(fault.Of(err).Text, "recording has no meaning") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestASessionIsRecordedAsAllItsRolesAsk(t *testing.T) {
	p := mustLoad(t,
		whole+"recording: {recipients: ["+auditorA+"], retain: 10d, files: 1MiB}\n",
		strings.Replace(whole, "role: r", "role: s", 1)+"recording: {recipients: ["+auditorB+", "+auditorA+"], retain: 400d, forwards: 64KiB, unechoed: true}\n",
		strings.Replace(strings.Replace(whole, "role: r", "role: elsewhere", 1), "web-1", "db-1", 1)+"recording: {retain: 900d}\n",
	)
	decision := p.Decide(Subject{Identity: "you@example.com", Groups: []string{"eng"}}, Node{Name: "web-1"}, "deploy")
	if !decision.Granted() {
		t.Fatalf("refused: %+v", decision)
	}
	want := RecordingRules{
		Recipients: []string{auditorA, auditorB}, RetainSeconds: 400 * 86400, Files: 1 << 20, Forwards: 64 << 10, Unechoed: true,
	}
	if diff := cmp.Diff(want, decision.Grant.Recording()); diff != "" {
		t.Error(diff)
	}
	for _, view := range p.Explain(Subject{Identity: "you@example.com", Groups: []string{"eng"}}, Node{Name: "web-1"}, "deploy") {
		if view.Role == "r" && view.Recording.Files != 1<<20 || view.Role == "s" && !view.Recording.Unechoed {
			t.Errorf("explain says %+v", view)
		}
	}
}
