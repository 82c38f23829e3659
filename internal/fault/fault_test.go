package fault

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestACauseIsNeverShown(t *testing.T) {
	f := New(Denied, NoRole, "no role gives you root on %s", "web-1").Then("run: %s", "sallyport ls").Because(errors.New("secret"))
	if strings.Contains(f.Show(), "secret") || !strings.Contains(f.Error(), "secret") {
		t.Fatalf("shown %q, logged %q", f.Show(), f.Error())
	}
	if f.Show() != "no role gives you root on web-1\n  run: sallyport ls" {
		t.Fatalf("%q", f.Show())
	}
}

func TestAForeignErrorBecomesInternalAndSaysNothing(t *testing.T) {
	f := Of(fmt.Errorf("dial: %w", errors.New("postgres://user:password@db")))
	if f.Kind != Internal || f.Reason != InternalError || strings.Contains(f.Show(), "password") {
		t.Fatalf("%+v", f)
	}
}

func TestAFaultIsFoundThroughWrapping(t *testing.T) {
	err := fmt.Errorf("open session: %w", New(Conflict, JoinTokenUsed, "used"))
	if ReasonOf(err) != JoinTokenUsed || !errors.Is(err, New(Invalid, JoinTokenUsed, "")) || errors.Is(err, New(Conflict, JoinTokenExpired, "")) {
		t.Fatal(err)
	}
	if ReasonOf(nil) != "" {
		t.Fatal("nil has a reason")
	}
}

func TestTheZeroKindIsNobodysSuccess(t *testing.T) {
	if (&Error{}).Kind.Status() != http.StatusInternalServerError {
		t.Fatal("a forgotten kind reads as something better than a bug")
	}
	for k := Internal; k <= Unavailable; k++ {
		if KindOfStatus(k.Status()) != k || k.Status() < 400 {
			t.Errorf("kind %d does not survive HTTP", k)
		}
	}
	if KindOfStatus(http.StatusOK) != Internal || KindOfStatus(418) != Internal {
		t.Error("an unknown status reads as a known kind")
	}
}
