package signin

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

//go:embed page.html
var pageHTML string

var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(pageHTML))
})

// page is what the browser shows when the login is over.
type page struct {
	Lang, Title, Text string
	OK                bool
	Fault, Next       string // as the terminal has them; empty for success
}

// words of the page, by primary language subtag. English is for everybody else.
var words = map[string]struct{ ok, fail page }{
	"en": {
		page{Lang: "en", Title: "You are signed in", Text: "You can close this window and go back to your terminal."},
		page{Lang: "en", Title: "The login did not work", Text: "Your terminal says the same."}},
	"zh": {
		page{Lang: "zh-Hans", Title: "登录成功", Text: "您可以关闭此窗口，返回终端。"},
		page{Lang: "zh-Hans", Title: "登录未成功", Text: "终端中有同样的提示。"}},
}

func pageFor(accept string, err error) page {
	w := words[language(accept)]
	if err == nil {
		w.ok.OK = true
		return w.ok
	}
	f := fault.Of(err)
	w.fail.Fault, w.fail.Next = f.Text, f.Next
	return w.fail
}

// language is the key of words that an Accept-Language field likes best (RFC
// 9110, section 12.5.4). Of equals the first counts.
func language(accept string) string {
	best, weight := "en", 0.0
	for item := range strings.SplitSeq(accept, ",") {
		tag, params, _ := strings.Cut(item, ";")
		q := 1.0
		if text, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, _ = strconv.ParseFloat(text, 64) // what is no number is no wish
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if _, ok := words[primary]; ok && q > weight {
			best, weight = primary, q
		}
	}
	return best
}

func writePage(w http.ResponseWriter, r *http.Request, err error) {
	var b bytes.Buffer
	if bad := pageTemplate().Execute(&b, pageFor(r.Header.Get("Accept-Language"), err)); bad != nil {
		http.Error(w, "see your terminal", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer") // the address has the code in it
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if err != nil {
		w.WriteHeader(fault.Of(err).Kind.Status())
	}
	w.Write(b.Bytes())
}
