package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/policydir"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

type policyFlags struct {
	Apply   applyFlags   `cmd:"" help:"Replace the whole policy by the files of a folder."`
	Show    showFlags    `cmd:"" help:"Print the policy in force."`
	Explain explainFlags `cmd:"" help:"Say why somebody may, or may not, enter a node."`
}

type applyFlags struct {
	File    string `short:"f" required:"" placeholder:"PATH" help:"A folder of .yaml files, or one file."`
	Check   bool   `help:"Only say whether it would be taken."`
	Offline bool   `help:"With --check: do not ask the CA, as in CI."`
	output
}

type showFlags struct {
	output
}

type explainFlags struct {
	Identity string   `arg:"" help:"Who, as sallyport status calls them."`
	Target   string   `arg:"" name:"login@node" help:"As whom, and where."`
	Group    []string `name:"group" help:"Pretend these groups instead of those of their last login." placeholder:"NAME"`
	Claims   string   `help:"Pretend these claims, a JSON object." placeholder:"JSON"`
	output
}

func (a admin) policy(ctx context.Context, env cli.Env, args []string) error {
	var flags policyFlags
	parsed, err := cli.Parse(env, "sallyport policy", "Who may go where, as whom, to do what.", &flags, args)
	if err != nil {
		return err
	}
	switch name, _, _ := strings.Cut(parsed.Command(), " "); name {
	case "apply":
		return a.applyPolicy(ctx, env, flags.Apply)
	case "show":
		return a.showPolicy(ctx, env, flags.Show)
	default:
		return a.explainPolicy(ctx, env, flags.Explain)
	}
}

// applied is what apply prints as JSON.
type applied struct {
	Revision int64    `json:"revision"`
	Checked  bool     `json:"checked"` // nothing was applied
	Files    int      `json:"files"`
	Roles    int      `json:"roles"`
	Added    []string `json:"added"`
	Changed  []string `json:"changed"`
	Removed  []string `json:"removed"`
}

func (a admin) applyPolicy(ctx context.Context, env cli.Env, flags applyFlags) error {
	if flags.Offline && !flags.Check {
		return badUsage("--offline goes with --check")
	}
	files, err := policydir.Read(flags.File)
	if err != nil {
		return err
	}
	loaded, err := policy.Load(files)
	if err != nil {
		return err
	}
	result := applied{Checked: flags.Check, Files: len(files), Roles: loaded.Len()}
	if flags.Offline {
		result.compare(files, files)
		return flags.show(env.Stdout, result, func(w io.Writer) {
			fmt.Fprintf(w, "%s, %s: no errors. The CA was not asked.\n", count(result.Files, "file"), count(result.Roles, "role"))
		})
	}
	client, err := a.connect(ctx, env)
	if err != nil {
		return err
	}
	var current, next wire.Policy
	if err := client.Do(ctx, http.MethodGet, wire.PathPolicy, nil, &current); err != nil {
		return err
	}
	result.compare(current.Files, files)
	request := wire.ApplyPolicy{Files: files, Base: current.Revision, Check: flags.Check}
	if err := client.Do(ctx, http.MethodPut, wire.PathPolicy, request, &next); err != nil {
		return err
	}
	result.Revision = next.Revision
	return flags.show(env.Stdout, result, result.print)
}

// compare notes which files differ.
func (r *applied) compare(before, after map[string]string) {
	r.Added, r.Changed, r.Removed = []string{}, []string{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if text, ok := before[name]; !ok {
			r.Added = append(r.Added, name)
		} else if text != after[name] {
			r.Changed = append(r.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[name]; !ok {
			r.Removed = append(r.Removed, name)
		}
	}
}

func (r *applied) print(w io.Writer) {
	for _, change := range []struct {
		what  string
		names []string
	}{{"new", r.Added}, {"changed", r.Changed}, {"gone", r.Removed}} {
		for _, name := range change.names {
			fmt.Fprintf(w, "  %-8s %s\n", change.what, printable(name))
		}
	}
	if len(r.Added)+len(r.Changed)+len(r.Removed) == 0 {
		fmt.Fprintln(w, "  nothing differs")
	}
	size := count(r.Files, "file") + ", " + count(r.Roles, "role")
	if r.Checked {
		fmt.Fprintf(w, "%s: would be taken. In force is still revision %d.\n", size, r.Revision)
		return
	}
	fmt.Fprintf(w, "Applied as revision %d: %s.\n", r.Revision, size)
}

// showPolicy prints documents that can be applied again.
func (a admin) showPolicy(ctx context.Context, env cli.Env, flags showFlags) error {
	var p wire.Policy
	if err := a.call(ctx, env, http.MethodGet, wire.PathPolicy, nil, &p); err != nil {
		return err
	}
	return flags.show(env.Stdout, p, func(w io.Writer) {
		if p.Revision == 0 {
			fmt.Fprintln(w, "# No policy has been applied: nobody may enter any node.\n# Apply one: sallyport policy apply -f policy/")
			return
		}
		fmt.Fprintf(w, "# Revision %d, applied by %s at %s.\n", p.Revision, printable(p.Author),
			time.Unix(p.Applied, 0).Format(time.RFC3339))
		for _, name := range slices.Sorted(maps.Keys(p.Files)) {
			fmt.Fprintf(w, "---\n# %s\n%s", printable(name), printableLines(p.Files[name]))
			if !strings.HasSuffix(p.Files[name], "\n") {
				fmt.Fprintln(w)
			}
		}
	})
}

func (a admin) explainPolicy(ctx context.Context, env cli.Env, flags explainFlags) error {
	request, err := flags.request()
	if err != nil {
		return err
	}
	var e wire.Explanation
	if err := a.call(ctx, env, http.MethodPost, wire.PathPolicyExplain, request, &e); err != nil {
		return err
	}
	return flags.show(env.Stdout, e, func(w io.Writer) { printExplanation(w, e) })
}

func (f explainFlags) request() (wire.ExplainRequest, error) {
	who, err := id.ParseIdentity(f.Identity)
	if err != nil {
		return wire.ExplainRequest{}, badUsage("%v", err)
	}
	login, node, ok := strings.Cut(f.Target, "@")
	if !ok {
		return wire.ExplainRequest{}, badUsage("%q is not login@node, as in root@web-1", f.Target)
	}
	if _, err := id.ParseLogin(login); err != nil {
		return wire.ExplainRequest{}, badUsage("%v", err)
	}
	if _, err := id.ParseNodeName(node); err != nil {
		return wire.ExplainRequest{}, badUsage("%v", err)
	}
	r := wire.ExplainRequest{Identity: who, Login: id.Login(login), Node: id.NodeName(node), Groups: f.Group}
	if f.Claims != "" {
		var object map[string]any
		if err := json.Unmarshal([]byte(f.Claims), &object); err != nil || object == nil {
			return wire.ExplainRequest{}, badUsage("--claims is no JSON object, as in {\"department\":\"web\"}")
		}
		r.Claims = json.RawMessage(f.Claims)
	}
	return r, nil
}

func printExplanation(w io.Writer, e wire.Explanation) {
	switch g, d := e.Decision.Grant, e.Decision.Denial; {
	case e.Decision.Granted():
		fmt.Fprintf(w, "GRANTED  %s\n", strings.Join(g.Names(), ", "))
	case d != nil:
		fmt.Fprintf(w, "DENIED  %s\n", printable(string(d.Reason)))
	default:
		fmt.Fprintf(w, "DENIED  %s\n", fault.NoRole)
	}
	widest := 0
	for _, r := range e.Roles {
		widest = max(widest, len(r.Role))
	}
	for _, r := range e.Roles {
		verdict := "does not match"
		switch {
		case r.Matches && r.Denies:
			verdict = "denies"
		case r.Matches:
			verdict = "matches"
		}
		fmt.Fprintf(w, "  role %-*s  %s: %s\n", widest, printable(r.Role), verdict, printable(strings.Join(r.Why, ", ")))
		if r.Matches {
			fmt.Fprintf(w, "       %-*s  %s\n", widest, "", effect(r))
			if text := recorded(r.Recording); text != "" {
				fmt.Fprintf(w, "       %-*s  records: %s\n", widest, "", text)
			}
		}
	}
	groups := "no groups"
	if len(e.Subject.Groups) > 0 {
		groups = "groups " + strings.Join(e.Subject.Groups, ", ")
	}
	fmt.Fprintf(w, "%s has %s. Policy revision %d.\n", printable(string(e.Subject.Identity)), printable(groups), e.Revision)
}

// recorded says what a role wants of recordings; "" is nothing.
func recorded(r policy.RecordingRules) string {
	var list []string
	for _, to := range r.Recipients {
		list = append(list, "to "+printable(to))
	}
	if r.RetainSeconds > 0 {
		list = append(list, fmt.Sprintf("kept %s", config.Duration(time.Duration(r.RetainSeconds)*time.Second)))
	}
	if r.Files > 0 {
		list = append(list, fmt.Sprintf("%s of each file", config.Bytes(r.Files)))
	}
	if r.Forwards > 0 {
		list = append(list, fmt.Sprintf("%s of each forwarded direction", config.Bytes(r.Forwards)))
	}
	if r.Unechoed {
		list = append(list, "what is typed without echo in clear")
	}
	return strings.Join(list, ", ")
}

// effect says what a matching role gives or takes.
func effect(r policy.RoleView) string {
	var list []string
	for _, c := range r.Channels {
		list = append(list, printable(string(c)))
	}
	channels := strings.Join(list, ", ")
	if len(r.Channels) == len(policy.Channels()) {
		channels = "everything"
	}
	switch {
	case r.Denies:
		return "takes:   " + channels
	case r.MaxSeconds > 0:
		return fmt.Sprintf("gives:   %s, for up to %s", channels, config.Duration(time.Duration(r.MaxSeconds)*time.Second))
	}
	return "gives:   " + channels
}
