package signin

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

func TestTheDeviceFlowAsksAgain(t *testing.T) {
	t.Parallel()
	grant := func(w http.ResponseWriter, r *http.Request) {
		says(200, `{"device_code":"d","user_code":"\u001b[2JAB-CD","verification_uri":"http://`+r.Host+`/go","interval":1,"expires_in":60}`)(w, r)
	}
	asked := 0
	issuer := discover(t, oddIssuer(t, map[string]http.HandlerFunc{"/device": grant, "/token": func(w http.ResponseWriter, r *http.Request) {
		switch asked++; asked {
		case 1:
			says(400, `{"error":"authorization_pending"}`)(w, r)
		case 2: // the network lost it
			says(502, "<html>bad gateway")(w, r)
		default:
			says(200, `{"access_token":"a","token_type":"Bearer","id_token":"a.b.c"}`)(w, r)
		}
	}}))
	var out bytes.Buffer
	got, err := issuer.Device(t.Context(), Device{Out: &out})
	if err != nil || got.ID != "a.b.c" || asked != 3 {
		t.Errorf("%+v, %v, asked %d times", got, err, asked)
	}
	if strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), "AB-CD") {
		t.Errorf("the terminal got %q", out.String())
	}
}

func TestTheDeviceFlowEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grant, token http.HandlerFunc
		reason       fault.Reason
	}{
		"when the code has run out": {nil, says(400, `{"error":"expired_token"}`), fault.SignInEnded},
		"when the person said no":   {nil, says(400, `{"error":"access_denied"}`), fault.IssuerRefused},
		"where no code is given":    {says(400, `{"error":"unauthorized_client"}`), nil, fault.IssuerRefused},
		"where the address is a trap": {
			says(200, `{"device_code":"d","user_code":"u","verification_uri":"javascript:alert(1)","interval":1}`), nil, fault.ConfigInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if c.grant == nil {
				c.grant = func(w http.ResponseWriter, r *http.Request) {
					says(200, `{"device_code":"d","user_code":"u","verification_uri":"http://`+r.Host+`/go","interval":1}`)(w, r)
				}
			}
			routes := map[string]http.HandlerFunc{"/device": c.grant}
			if c.token != nil {
				routes["/token"] = c.token
			}
			_, err := discover(t, oddIssuer(t, routes)).Device(t.Context(), Device{Out: &bytes.Buffer{}})
			if fault.ReasonOf(err) != c.reason {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("where there is none", func(t *testing.T) {
		issuer := discover(t, oddIssuer(t, map[string]http.HandlerFunc{wellKnown: document(func(d map[string]string) { delete(d, "device_authorization_endpoint") })}))
		if _, err := issuer.Device(t.Context(), Device{Out: &bytes.Buffer{}}); issuer.HasDevice() || fault.ReasonOf(err) != fault.IssuerRefused {
			t.Errorf("got %v", err)
		}
	})
}

func TestATerminalShowsAQRCode(t *testing.T) {
	t.Parallel()
	grant := func(w http.ResponseWriter, r *http.Request) {
		says(200, `{"device_code":"d","user_code":"AB-CD","verification_uri":"http://`+r.Host+`/go","verification_uri_complete":"http://`+r.Host+`/go?code=AB-CD","interval":1}`)(w, r)
	}
	issuer := discover(t, oddIssuer(t, map[string]http.HandlerFunc{"/device": grant, "/token": says(400, `{"error":"access_denied"}`)}))
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		issuer.Device(t.Context(), Device{Out: &out, Terminal: terminal})
		if got := strings.Contains(out.String(), "▀"); got != terminal {
			t.Errorf("terminal %v: a QR code is there: %v", terminal, got)
		}
	}
}
