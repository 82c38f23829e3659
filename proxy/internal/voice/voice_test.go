package voice

import (
	"errors"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestWhatPeopleRead(t *testing.T) {
	denied := fault.New(fault.Denied, fault.LoginNotAllowed, "no role gives you root on web-1").Then("You have there: deploy (web-deploy).")
	for _, test := range []struct{ name, got, want string }{
		{"a denial", Text(denied, false), "sallyport: denied: no role gives you root on web-1\n  You have there: deploy (web-deploy).\n"},
		{"a denial at a terminal", Text(denied, true), "sallyport: denied: no role gives you root on web-1\r\n  You have there: deploy (web-deploy).\r\n"},
		{"a denial in one line", Line(denied), "sallyport: denied: no role gives you root on web-1; You have there: deploy (web-deploy)."},
		{"something broken is no denial", Line(fault.New(fault.Unavailable, fault.NodeAway, "web-1 does not answer")), "sallyport: web-1 does not answer"},
		{"a cause is never shown", Text(fault.New(fault.Internal, fault.RecorderFailed, "no").Because(errors.New("secret")), false), "sallyport: no\n"},
		{"nothing steers the terminal", Line(fault.New(fault.Denied, fault.NoRole, "a\x1b[2Jb\rc\u009bd\ne")), "sallyport: denied: a[2Jbcd e"},
	} {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", test.name, test.got, test.want)
		}
	}
}
