package signin

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/rig"
)

// TestTheLastPageInARealBrowser: Chromium draws it under the policy that it is
// sent with. SALLYPORT_SCREENSHOTS names a directory that keeps what it drew.
func TestTheLastPageInARealBrowser(t *testing.T) {
	t.Parallel()
	chromium := rig.Need(t, "chromium", "chromium")
	keep := os.Getenv("SALLYPORT_SCREENSHOTS")
	if keep == "" {
		keep = t.TempDir()
	}
	for name, c := range map[string]struct {
		lang string
		end  error
		says string
	}{
		"ok-en":   {"en-US", nil, "You are signed in"},
		"ok-zh":   {"zh-CN", nil, "登录成功"},
		"fail-en": {"en-US", fault.New(fault.Denied, fault.IssuerRefused, "login.example.com did not let you in").Then("ask whoever runs it, or sign in as somebody else: sallyport login"), "did not let you in"},
		"fail-zh": {"zh-CN", fault.New(fault.Denied, fault.KeyRefused, "Example Inc. certifies security keys alone").Then("plug yours in and run: sallyport login --security-key"), "登录未成功"},
	} {
		l := newLoopback("", "s", testIssuer())
		l.answer(c.end)
		server := httptest.NewServer(l)
		l.addr = strings.TrimPrefix(server.URL, "http://")
		shot := filepath.Join(keep, name+".png")
		cmd := exec.Command(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(),
			"--accept-lang="+c.lang, "--lang="+c.lang, "--window-size=900,640", "--enable-logging=stderr", "--dump-dom", "--screenshot="+shot, server.URL+"/callback?state=s&code=c")
		cmd.Env = append(os.Environ(), "LANGUAGE="+strings.ReplaceAll(c.lang, "-", "_"), "HOME="+t.TempDir())
		var stderr strings.Builder
		cmd.Stderr = &stderr
		dom, err := cmd.Output()
		server.Close()
		if err != nil || !strings.Contains(string(dom), c.says) {
			t.Errorf("%s: %v\n%s\n%s", name, err, dom, stderr.String())
		}
		if strings.Contains(stderr.String(), "Content Security Policy") {
			t.Errorf("%s: its own policy refuses something:\n%s", name, stderr.String())
		}
		if info, err := os.Stat(shot); err != nil || info.Size() < 5_000 {
			t.Errorf("%s: nothing was drawn: %v", name, err)
		}
	}
}
