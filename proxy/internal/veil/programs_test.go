package veil

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/rig"
)

const secret = "hunter2 Tr0ub4dor&3"

// covered is the secret as it stands in the recording.
var covered = strings.Repeat("_", len(secret))

func TestCommandsAtARealShellAreRevealed(t *testing.T) {
	for _, shell := range [][]string{{"bash", "--norc", "-i"}, {"dash", "-i"}} {
		t.Run(shell[0], func(t *testing.T) {
			rig.Need(t, shell[0], shell[0])
			s := run(t, shell...)
			s.see("prompt>")
			s.keys("echo one two\r")
			s.see("\none two")
			s.paste("echo pasted line\r")
			s.see("\npasted line")
			s.paste("echo first\recho second\recho 'third'\r")
			s.see("third\nprompt>")
			s.keys("ecgo")
			s.see("prompt> ecgo") // a busy shell draws nothing that is deleted before its turn
			s.keys("\x7f\x7fho fixed\r")
			s.see("\nfixed")
			s.keys("echo a long line that is wrapped at the edge of the terminal, as it has more than eighty columns\r")
			s.see("columns\nprompt>")
			s.keys("l")
			s.keys("s\r")
			s.keys("echo caf\u00e9 \u4e16\u754c\r")
			s.see("\ncaf\u00e9 \u4e16\u754c")
			s.want("echo one two\recho pasted line\recho first\recho second\recho 'third'\recgo\x7f\x7fho fixed\r" +
				"echo a long line that is wrapped at the edge of the terminal, as it has more than eighty columns\rls\recho caf\u00e9 \u4e16\u754c\r")
		})
	}
}

func TestLineEditingIsRevealed(t *testing.T) {
	s := run(t, "bash", "--norc", "-i")
	s.see("prompt>")
	s.keys("ehco hello")
	s.see("ehco hello")
	s.paste("\x01") // to the line's beginning
	s.paste("\x1b[C")
	s.paste("\x04\x04")
	s.see("eo hello")
	s.keys("ch")
	s.see("echo hello")
	s.keys("\r")
	s.see("\nhello")
	s.paste("\x1b[A") // the line before
	s.see("\nhello\nprompt> echo hello")
	s.keys(" again\r")
	s.see("\nhello again")
	s.keys("ech\x15echo other\r")
	s.see("\nother")
	s.want("ehco hello\x01\x1b[C\x04\x04ch\r\x1b[A again\rech\x15echo other\r")
}

func TestTypedAheadIsRevealedWhenItIsShown(t *testing.T) {
	s := run(t, "bash", "--norc", "-i")
	s.see("prompt>")
	s.keys("read x; stty -echo; sleep 1; stty echo; echo done\r\r")
	s.paste("echo ahead\r")
	s.see("\nahead")
	s.want("read x; stty -echo; sleep 1; stty echo; echo done\r\recho ahead\r")
}

func TestWhatIsTypedWithoutEchoStaysVeiled(t *testing.T) {
	python := rig.Need(t, "python3", "python3")
	rig.Need(t, "ssh-keygen", "openssh-client")
	rig.Need(t, "su", "util-linux")
	for name, test := range map[string]struct{ command, prompt, after string }{
		"read -s":    {"read -s -p 'Password: ' x; echo; echo ok", "Password:", "\nok"},
		"stty -echo": {"stty -echo; printf 'Pass: '; head -n1 >/dev/null; stty echo; echo ok", "Pass:", "Pass: ok"},
		"getpass":    {python + " -c 'import getpass; getpass.getpass(); print(\"ok\")'", "Password:", "\nok"},
		"ssh-keygen": {"ssh-keygen -q -t ed25519 -f key", "passphrase", "again:"},
		"su":         {"setpriv --reuid 65534 --clear-groups su root; echo ok", "Password:", "\nok"},
		"one by one": {"while IFS= read -r -s -n1 x; do [ -z \"$x\" ] && break; done; echo ok", "", "\nok"},
		"stars":      {"while IFS= read -r -s -n1 x; do [ -z \"$x\" ] && break; printf '*'; done; echo; echo ok", "", "\nok"},
		"bullets":    {"while IFS= read -r -s -n1 x; do [ -z \"$x\" ] && break; printf '\u2022'; done; echo; echo ok", "", "\nok"},
	} {
		for _, way := range []string{"typed", "pasted", "pasted with Enter"} {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				s := run(t, "bash", "--norc", "-i")
				s.see("prompt>")
				s.keys(test.command + "\r")
				s.see(test.prompt)
				s.want(test.command + "\r")
				<-s.quiet()
				switch way {
				case "typed":
					s.keys(secret)
					s.keys("\r")
				case "pasted":
					s.paste(secret)
					s.paste("\r")
				default:
					s.paste(secret + "\r")
				}
				s.see(test.after)
				if test.after == "again:" {
					s.keys(secret + "\r")
					s.see("prompt> ")
					s.keys("echo visible\r")
					s.see("\nvisible")
					s.want(test.command + "\r" + covered + "\r" + covered + "\recho visible\r")
					return
				}
				s.keys("echo visible\r")
				s.see("\nvisible")
				s.want(test.command + "\r" + covered + "\recho visible\r")
				if got := s.rec.all(4, 13); !strings.Contains(string(got), secret+"\r") {
					t.Errorf("the recording has lost input: %q", got)
				}
			})
		}
	}
}

func TestEditorsAndPagersAreRevealed(t *testing.T) {
	rig.Need(t, "vim", "vim")
	rig.Need(t, "less", "less")
	s := run(t, "bash", "--norc", "-i")
	s.see("prompt>")
	s.keys("seq 200 >numbers; less numbers\r")
	s.see("23\nnumbers")
	s.keys("/100\r")
	s.see("100")
	s.keys("q")
	s.see("prompt>")
	s.keys("vim -u NONE -N text\r")
	s.see("~")
	s.keys("ihello world")
	s.see("hello world")
	s.paste("\x1b")
	s.keys(":wq\r")
	s.see("prompt>")
	s.keys("cat text\r")
	s.see("\nhello world")
	typed := s.rec.typed()
	// What is typed while vim is still busy with the key before stays covered.
	for _, visible := range []string{"seq 200 >numbers; less numbers\r", "/100\r", "vim -u NONE -N text\r", "llo world", ":wq\r", "cat text\r"} {
		if !strings.Contains(typed, visible) {
			t.Errorf("%q is not in %q", visible, typed)
		}
	}
}

func TestKeysThatAreCommandsAreRevealedFromTheSecondOn(t *testing.T) {
	s := run(t, "less", "/etc/services")
	s.see("services")
	<-s.quiet()
	for range 4 {
		s.keys(" ")
		<-s.quiet()
	}
	s.want("    ")
}

func TestAPasswordInATmuxWhoseStatusLineTicksStaysVeiled(t *testing.T) {
	rig.Need(t, "tmux", "tmux")
	s := run(t, "tmux", "-f", "/dev/null", "-L", "veil", "new-session", "env 'PS1=prompt> ' bash --norc -i", ";",
		"set", "status-interval", "1", ";", "set", "status-right", "%H:%M:%S")
	t.Cleanup(func() { s.keys("\x02&y") })
	s.see("prompt>")
	for i := range 2 {
		ask := fmt.Sprintf("read -s -p 'Password %d: '\r", i)
		s.keys(ask)
		s.see(fmt.Sprintf("Password %d:", i))
		for _, r := range secret {
			s.keys(string(r))
			<-time.After(60 * time.Millisecond)
		}
		s.keys("\r")
		s.see("prompt>")
		s.keys("echo visible\r")
		s.see("visible")
	}
	typed := s.rec.typed()
	if n := strings.Count(typed, "\r"+covered+"\r"); n != 2 {
		t.Errorf("%d of 2 secrets are covered: %q", n, typed)
	}
	if n := strings.Count(typed, "echo visible\r"); n != 2 {
		t.Errorf("%d of 2 commands are revealed: %q", n, typed)
	}
}
