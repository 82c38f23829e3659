package outlet

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

func TestAFileGetsEveryEvent(t *testing.T) {
	f := newFixture(t, sqlite(t))
	path := filepath.Join(t.TempDir(), "audit.json")
	read := func() []int64 { text, _ := os.ReadFile(path); return f.received(text) }
	f.happen(3)
	stop := f.run(Config{Name: "file", File: path}, "ca-1")
	f.eventually("three events", func() bool { return len(read()) == 3 })
	f.happen(1300) // more than two batches
	f.eventually("all events", func() bool { return len(read()) == 1303 })
	stop()
	f.happen(5)
	stop = f.run(Config{Name: "file", File: path}, "ca-2") // at once: ca-1 gave it back
	defer stop()
	f.eventually("what happened meanwhile", func() bool { return len(read()) == 1308 })
	f.inOrder(read())
}

func TestAFileThatIsRenamedAwayIsBegunAnew(t *testing.T) {
	f := newFixture(t, sqlite(t))
	path := filepath.Join(t.TempDir(), "audit.json")
	packed := path + ".1"
	two := func() bool { text, _ := os.ReadFile(path); return len(f.received(text)) == 2 }
	defer f.run(Config{Name: "file", File: path}, "ca")()
	f.happen(2)
	f.eventually("two events", two)
	if err := os.Rename(path, packed); err != nil {
		t.Fatal(err)
	}
	f.happen(2)
	f.eventually("two more", two)
	before, _ := os.ReadFile(packed)
	after, _ := os.ReadFile(path)
	f.inOrder(f.received(append(before, after...)))
}

func TestATornLineOfACrashIsTakenBack(t *testing.T) {
	whole := `{"index":0,"event":{"kind":"x","at":0,"outcome":"success"}}` + "\n"
	for name, left := range map[string]string{
		"nothing but a torn line":      `{"index":0,"ev`,
		"a long one after a whole one": whole + strings.Repeat("x", 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, sqlite(t))
			path := filepath.Join(t.TempDir(), "audit.json")
			if err := os.WriteFile(path, []byte(left), 0o600); err != nil {
				t.Fatal(err)
			}
			defer f.run(Config{Name: "file", File: path}, "ca")()
			f.happen(1)
			lines := func() int { text, _ := os.ReadFile(path); return len(bytes.SplitAfter(text, []byte("\n"))) - 1 }
			f.eventually("whole lines alone", func() bool {
				text, _ := os.ReadFile(path)
				return lines() == strings.Count(left, "\n")+1 && bytes.HasSuffix(text, []byte("\n"))
			})
			text, _ := os.ReadFile(path)
			f.received(text)
		})
	}
}

func TestAFileThatCannotBeWrittenLosesNothing(t *testing.T) {
	f := newFixture(t, sqlite(t))
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "audit.json")
	defer f.run(Config{Name: "file", File: path}, "ca")()
	f.happen(4)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f.eventually("four events", func() bool { text, _ := os.ReadFile(path); return len(f.received(text)) == 4 })
}

func TestAFullDiskTakesBackHalfALine(t *testing.T) {
	f := newFixture(t, sqlite(t))
	f.happen(3)
	o := f.outlet(Config{Name: "file", File: "/dev/full"}, "ca")
	defer o.sink.close()
	entries, err := f.store.EventsFrom(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	b, err := o.batch(entries)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.sink.deliver(t.Context(), b); err == nil {
		t.Error("what a full disk did not take counts as delivered")
	}
}

func TestAWebhookGetsEveryEventInOrderWhateverItAnswers(t *testing.T) {
	status := func(code int, when func(n int) bool) func(int, http.ResponseWriter) bool {
		return func(n int, w http.ResponseWriter) bool {
			if when(n) {
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(code)
			}
			return when(n)
		}
	}
	atFirst := func(n int) bool { return n < 4 }
	for name, fail := range map[string]func(n int, w http.ResponseWriter) bool{
		"always yes":                   nil,
		"an error three times of four": status(http.StatusInternalServerError, func(n int) bool { return n%4 != 0 }),
		"refusals at first":            status(http.StatusForbidden, atFirst),
		"redirects at first":           status(http.StatusTemporaryRedirect, atFirst),
		"connections that are cut": func(n int, w http.ResponseWriter) bool {
			if n%2 == 1 {
				conn, _, _ := w.(http.Hijacker).Hijack()
				conn.Close()
			}
			return n%2 == 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, sqlite(t))
			r := newReceiver(t, fail)
			defer f.run(r.config(t), "ca")()
			for range 3 {
				f.happen(7)
				f.eventually("all of them", func() bool { return len(f.received(r.text())) >= int(f.size) })
			}
			f.inOrder(f.received(r.text()))
		})
	}
}

func TestAMessageThatIsSentAgainHasItsId(t *testing.T) {
	f := newFixture(t, sqlite(t))
	r := newReceiver(t, nil)
	f.happen(3)
	o := f.outlet(r.config(t), "ca")
	defer o.sink.close()
	entries, err := f.store.EventsFrom(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	b, err := o.batch(entries)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := o.sink.deliver(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if ids := r.messages(); len(ids) != 2 || ids[0] != ids[1] || ids[0] != "hook_0_2" {
		t.Fatalf("the ids are %q", ids)
	}
}

func TestAnOutletThatStandsStillHoldsNobody(t *testing.T) {
	f := newFixture(t, sqlite(t))
	stuck, path := make(chan struct{}), filepath.Join(t.TempDir(), "audit.json")
	r := newReceiver(t, func(int, http.ResponseWriter) bool { <-stuck; return true })
	defer close(stuck)
	stopHook := f.run(r.config(t), "ca")
	stopFile := f.run(Config{Name: "file", File: path}, "ca")
	f.happen(20)
	f.eventually("the file has all", func() bool { text, _ := os.ReadFile(path); return len(f.received(text)) == 20 })
	stopFile()
	stopHook() // although its receiver does not answer
}

func TestAProcessThatIsKilledAnywhereLosesNothing(t *testing.T) {
	for name, url := range map[string]string{"sqlite": sqlite(t), "postgres": rig.Postgres(t).URL} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, url)
			r := newReceiver(t, nil)
			args := childArgs{URL: url, Config: r.config(t)}
			for life := range 5 {
				args.Holder = fmt.Sprint("ca-", life)
				before := len(r.messages())
				child := args.start(t)
				f.happen(40)
				f.eventually("a message", func() bool { return len(r.messages()) > before })
				kill(child)
			}
			defer f.run(args.Config, "ca-last")()
			f.eventually("all of them", func() bool {
				list := f.received(r.text())
				return len(list) > 0 && list[len(list)-1] == f.size-1
			})
			f.inOrder(f.received(r.text()))
		})
	}
}

func TestOfTwoCAsOneWorksAnOutlet(t *testing.T) {
	url := rig.Postgres(t).URL
	f := newFixture(t, url)
	r := newReceiver(t, nil)
	c := r.config(t)
	one := childArgs{URL: url, Holder: "one", Config: c}.start(t)
	f.happen(1)
	f.eventually("the first event", func() bool { return len(r.messages()) == 1 })
	defer f.run(c, "two")()
	f.happen(200)
	f.eventually("all of them", func() bool { return len(f.received(r.text())) >= 201 })
	if list := f.received(r.text()); len(list) != 201 {
		t.Errorf("%d events came of 201: both work it", len(list))
	}
	kill(one)
	f.happen(10)
	f.eventually("the other takes over", func() bool { return len(f.received(r.text())) >= 211 })
	f.inOrder(f.received(r.text()))
}

func TestOutletsThatCannotWorkAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no name":                    `{file: /var/log/audit.json}`,
		"a name with a space":        `{name: a b, file: /var/log/audit.json}`,
		"a name in capitals":         `{name: SIEM, file: /var/log/audit.json}`,
		"no place":                   `{name: siem}`,
		"two places":                 `{name: siem, file: /var/log/audit.json, stdout: true}`,
		"a relative path":            `{name: siem, file: audit.json}`,
		"an unknown format":          `{name: siem, stdout: true, format: leef}`,
		"an unknown key":             `{name: siem, stdout: true, colour: red}`,
		"a webhook in clear":         `{name: siem, webhook: {url: "http://siem.example.com/", secret_file: /etc/s}}`,
		"a webhook without a secret": `{name: siem, webhook: {url: "https://siem.example.com/"}}`,
		"a webhook with a password":  `{name: siem, webhook: {url: "https://me:pw@siem.example.com/", secret_file: /etc/s}}`,
		"a webhook that is no URL":   `{name: siem, webhook: {url: "siem", secret_file: /etc/s}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var c struct {
				Outlets []Config `yaml:"outlets"`
			}
			if err := config.Decode("ca.yaml", []byte("outlets: ["+text+"]\n"), &c); err == nil {
				t.Errorf("%s was taken as %+v", text, c)
			}
		})
	}
	var c struct {
		Outlets []Config `yaml:"outlets"`
	}
	good := `outlets: [{name: siem, format: ocsf, webhook: {url: "http://127.0.0.1:9/", secret_file: /etc/s}}, {name: out, stdout: true}]`
	if err := config.Decode("ca.yaml", []byte(good), &c); err != nil || len(c.Outlets) != 2 {
		t.Error(err)
	}
}

func TestASecretThatIsNoneIsRefused(t *testing.T) {
	for name, text := range map[string]string{"too short": "short", "no base64": "whsec_***", "short in base64": "whsec_c2hvcnQ="} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := newWebhook("x", Webhook{URL: "https://siem.example.com", SecretFile: path}); err == nil || strings.Contains(err.Error(), text+" ") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
