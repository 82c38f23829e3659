package proxy

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/policy"
	"github.com/sallyport-ssh/sallyport/internal/recording"
)

func TestADenialArrivesInSSHsOwnOutput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const said = "sallyport: denied: no role gives you root on web-1\n  You have there: deploy (web-deploy).\n"
	for _, test := range []struct {
		name string
		args []string
	}{
		{"a command", []string{"true"}},
		{"a shell without a terminal", []string{"-T"}},
		{"sftp", []string{"-s", "sftp"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := w.you.command("root@web-1")
			if cmd.Args = append(cmd.Args, test.args...); strings.HasPrefix(test.args[0], "-") {
				cmd.Args = append(append(cmd.Args[:1:1], test.args[0]), append(cmd.Args[1:len(cmd.Args)-len(test.args)], test.args[1:]...)...)
			}
			if r := execute(t, cmd, ""); r.status != 254 || r.stderr != said || r.stdout != "" {
				t.Errorf("%+v", r)
			}
		})
	}
	t.Run("at a terminal lines end as terminals want it", func(t *testing.T) {
		cmd := w.you.command("root@web-1", "true")
		cmd.Args = append(append(cmd.Args[:1:1], "-tt"), cmd.Args[1:]...)
		if r := execute(t, cmd, ""); r.status != 254 || !strings.Contains(r.stderr, "root on web-1\r\n  You have there") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("through a jump", func(t *testing.T) {
		if r := w.you.jump("root@web-1", "true"); r.status != 254 || r.stderr != said {
			t.Errorf("%+v", r)
		}
	})
	t.Run("a forward alone", func(t *testing.T) {
		c, err := w.you.dial("root@web-1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.Dial("tcp", "127.0.0.1:1")
		if err == nil || !strings.Contains(err.Error(), "denied: no role gives you root on web-1; You have there") {
			t.Errorf("%v", err)
		}
		if _, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
			t.Error("listens on the node")
		}
	})
	t.Run("ssh -N, which opens no channel, is ended", func(t *testing.T) {
		cmd := w.you.command("root@web-1")
		cmd.Args = append(append(cmd.Args[:1:1], "-N"), cmd.Args[1:]...)
		start := time.Now()
		if r := execute(t, cmd, ""); r.status != 255 || time.Since(start) > 20*time.Second {
			t.Errorf("%+v", r)
		}
	})
	if entries, _ := os.ReadDir(w.config.Data + "/recordings"); len(entries) > 2 { // its lock and the ballast
		t.Errorf("refused sessions were recorded: %v", entries)
	}
}

func TestNamesThatCannotBeUnderstood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, test := range []struct{ user, says string }{
		{"deploy@web-9", "denied: there is no node \"web-9\" here"},
		{"deploy@", "node name is empty"},
		{"@web-1", "login is empty"},
		{"a@b@web-1", "login \"a@b\" has '@' in it"},
		{"de ploy@web-1", "has ' ' in it"},
		{"-oProxyCommand=x@web-1", "has '=' in it"},
		{"deploy@web-1;id", "has ';' in it"},
		{strings.Repeat("x", 33) + "@web-1", "longer than 32 bytes"},
	} {
		t.Run(test.user, func(t *testing.T) {
			c, err := w.you.dial(test.user)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			s, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			out, err := s.CombinedOutput("true")
			if exit, ok := err.(*ssh.ExitError); !ok || exit.ExitStatus() != 254 || !strings.Contains(string(out), test.says) {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	if r := w.you.ssh(strings.ToUpper(w.web.Login)+"@WEB-1", "true"); r.status != 254 || w.lastAsked().Node != "web-1" {
		t.Errorf("a node in capitals: %+v", r)
	}
}

// grant gives you some channels on web-1 and nothing else.
func (w *world) grant(channels ...policy.Channel) string {
	where := w.web.Login + "@web-1"
	w.with(func(a *authority) {
		a.grants[where] = policy.Grant{Roles: []policy.RoleGrant{{Role: "narrow", Channels: channels}}}
	})
	return where
}

func TestWhatTheGrantDoesNotAllow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, test := range []struct {
		name    string
		granted []policy.Channel
		args    []string
		lacks   policy.Channel
	}{
		{"exec", []policy.Channel{policy.Shell}, []string{"true"}, policy.Exec},
		{"a shell", []policy.Channel{policy.Exec}, nil, policy.Shell},
		{"a shell at a terminal", []policy.Channel{policy.Exec}, []string{"-tt"}, policy.Shell},
		{"sftp", []policy.Channel{policy.Exec, policy.Subsystem}, []string{"-s", "sftp"}, policy.SFTP},
		{"another subsystem", []policy.Channel{policy.Exec, policy.SFTP}, []string{"-s", "netconf"}, policy.Subsystem},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := w.you.command(w.grant(test.granted...))
			var options, rest []string
			for _, a := range test.args {
				if a == "-s" || a == "-tt" {
					options = append(options, a)
				} else {
					rest = append(rest, a)
				}
			}
			cmd.Args = append(append(append(cmd.Args[:1:1], options...), cmd.Args[1:]...), rest...)
			r := execute(t, cmd, "")
			want := fmt.Sprintf("sallyport: denied: narrow does not allow %s on web-1", test.lacks)
			if r.status != 254 || !strings.Contains(r.stderr, want) || r.stdout != "" {
				t.Errorf("%+v", r)
			}
			if len(test.granted) > 0 && !strings.Contains(r.stderr, "It allows: "+string(test.granted[0])) {
				t.Errorf("does not say what is allowed: %q", r.stderr)
			}
			frames := w.recorded(w.last())
			if !strings.Contains(content(frames, recording.KindAnswer), string(fault.ChannelNotAllowed)) {
				t.Error("the refusal was not recorded")
			}
		})
	}
	c, err := w.you.dial(w.grant(policy.Exec))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, try := range map[string]func() error{
		"forward-local":  func() error { _, err := c.Dial("tcp", "127.0.0.1:22"); return err },
		"forward-unix":   func() error { _, err := c.Dial("unix", "/run/x"); return err },
		"forward-remote": func() error { _, err := c.Listen("tcp", "127.0.0.1:0"); return err },
		"forward-unix, remote": func() error {
			_, err := c.ListenUnix("/tmp/x")
			return err
		},
		"the agent": func() error {
			s, err := c.NewSession()
			if err != nil {
				return nil
			}
			defer s.Close()
			if ok, err := s.SendRequest("auth-agent-req@openssh.com", true, nil); err != nil || ok {
				return nil
			}
			return os.ErrPermission
		},
		"a tunnel device": func() error { _, _, err := c.OpenChannel("tun@openssh.com", nil); return err },
		"X11":             func() error { _, _, err := c.OpenChannel("x11", nil); return err },
	} {
		t.Run(name, func(t *testing.T) {
			if try() == nil {
				t.Error("was not refused")
			}
		})
	}
	t.Run("a session still runs what is allowed", func(t *testing.T) {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if out, err := s.Output("echo ok"); string(out) != "ok\n" {
			t.Errorf("%q, %v", out, err)
		}
	})
}

func TestX11IsRefusedWithAReason(t *testing.T) {
	w := newWorld(t)
	c, err := w.you.dial(w.web.Login + "@web-1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	s.Stderr = &text
	ok, err := s.SendRequest("x11-req", true, ssh.Marshal(struct {
		Single         bool
		Protocol, Data string
		Screen         uint32
	}{false, "MIT-MAGIC-COOKIE-1", "00", 0}))
	if ok || err != nil {
		t.Errorf("x11-req: %v, %v", ok, err)
	}
	if err := s.Run("echo \"$DISPLAY\""); err != nil {
		t.Error(err)
	}
	if !strings.Contains(text.String(), "X11 is not carried") {
		t.Errorf("says %q", text.String())
	}
}

func TestTimeIsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	where := w.web.Login + "@web-1"
	t.Run("of the whole connection", func(t *testing.T) {
		w.with(func(a *authority) {
			a.grants[where] = policy.Grant{Roles: []policy.RoleGrant{{Role: "short", Channels: policy.Channels(), MaxSeconds: 1}}}
		})
		r := w.you.ssh(where, "echo begun; exec sleep 60")
		if r.status != 254 || r.stdout != "begun\n" || !strings.Contains(r.stderr, "sallyport: denied: the time that your role gives is over") {
			t.Errorf("%+v", r)
		}
		session := w.last()
		w.recorded(session)
		w.mu.Lock()
		defer w.mu.Unlock()
		if got := w.ended[session]; got.End != string(fault.SessionExpired) || !got.Accepted {
			t.Errorf("ended with %+v", got)
		}
	})
	t.Run("of one kind of channel", func(t *testing.T) {
		w.with(func(a *authority) {
			a.grants[where] = policy.Grant{Roles: []policy.RoleGrant{
				{Role: "files", Channels: []policy.Channel{policy.SFTP}},
				{Role: "short", Channels: []policy.Channel{policy.Exec}, MaxSeconds: 1},
			}}
		})
		c, err := w.you.dial(where)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s := must(c.NewSession())
		out, err := s.CombinedOutput("exec sleep 60")
		if exit, ok := err.(*ssh.ExitError); !ok || exit.ExitStatus() != 254 {
			t.Errorf("%q, %v", out, err)
		}
		if s, err := c.NewSession(); err != nil || s.RequestSubsystem("sftp") != nil {
			t.Error("what has no limit ended as well")
		}
	})
	t.Run("the notice says when", func(t *testing.T) {
		w.with(func(a *authority) {
			a.grants[where] = policy.Grant{Roles: []policy.RoleGrant{{Role: "hourly", Channels: policy.Channels(), MaxSeconds: 3600}}}
		})
		c, err := w.you.dial(where)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		term := newTerminal(t, c, 80, 24)
		term.expect("This session is recorded (hourly, until " + time.Now().Add(time.Hour).Format("15:"))
	})
}
