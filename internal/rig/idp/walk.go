package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// walk is a person with a browser: it follows links, fills in the login form and
// presses the button.
type walk struct {
	http           http.Client
	name, password string
}

func newWalk(name, password string) *walk {
	jar, _ := cookiejar.New(nil) // only fails on a bad public suffix list
	return &walk{http: http.Client{Jar: jar}, name: name, password: password}
}

var hiddenID = regexp.MustCompile(`name="id" value="([^"]*)"`)

// signIn opens an authorization request's URL and ends on the page to which the
// provider sends the browser back.
func (w *walk) signIn(rawURL string) (string, error) {
	page, at, err := w.get(rawURL)
	if err != nil {
		return "", err
	}
	id := hiddenID.FindStringSubmatch(page)
	if id == nil {
		return "", fmt.Errorf("no login form at %s: %s", at.Path, page)
	}
	page, at, err = w.post(at, "", url.Values{"id": {id[1]}, "username": {w.name}, "password": {w.password}})
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(at.Path, "/login/") {
		return "", fmt.Errorf("the provider does not take this name and password")
	}
	return page, nil
}

// device opens the verification URL of a device flow and answers it with action,
// "allowed" or "denied".
func (w *walk) device(verify, code, action string) error {
	_, at, err := w.get(verify)
	if err != nil {
		return err
	}
	if _, at, err = w.post(at, "/device/login", url.Values{"user_code": {code}, "username": {w.name}, "password": {w.password}}); err != nil {
		return err
	}
	page, _, err := w.get(at.Scheme + "://" + at.Host + "/device/confirm?action=" + action)
	if err == nil && !strings.Contains(page, action) {
		err = fmt.Errorf("the provider says: %s", page)
	}
	return err
}

func (w *walk) get(rawURL string) (string, *url.URL, error) {
	return read(w.http.Get(rawURL))
}

func (w *walk) post(at *url.URL, path string, form url.Values) (string, *url.URL, error) {
	to := *at
	if path != "" {
		to.Path, to.RawQuery = path, ""
	}
	return read(w.http.PostForm(to.String(), form))
}

func read(resp *http.Response, err error) (string, *url.URL, error) {
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode >= 400 {
		err = fmt.Errorf("%s answers %s: %s", resp.Request.URL, resp.Status, body)
	}
	return string(body), resp.Request.URL, err
}
