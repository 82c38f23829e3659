package signin

import (
	"os/exec"
	"runtime"
	"strings"

	"github.com/cli/browser"
)

// Opener opens a URL in the person's browser. It returns when the browser was
// told, or has ended.
type Opener func(url string) error

// FindOpener returns the Opener of this machine, or nil where the person has no
// browser: over SSH, or without a display.
func FindOpener(getenv func(string) string) Opener {
	if commands := getenv("BROWSER"); commands != "" {
		return func(url string) error { return runBrowser(commands, url) }
	}
	if getenv("SSH_CONNECTION") != "" {
		return nil
	}
	switch runtime.GOOS {
	case "darwin", "windows":
		return openURL
	}
	if getenv("DISPLAY") == "" && getenv("WAYLAND_DISPLAY") == "" && getenv("WSL_DISTRO_NAME") == "" {
		return nil
	}
	for _, program := range []string{"xdg-open", "x-www-browser", "www-browser", "wslview"} {
		if _, err := exec.LookPath(program); err == nil {
			return openURL
		}
	}
	return nil
}

// openURL says nothing of what the desktop's programs have to say.
func openURL(url string) error {
	browser.Stdout, browser.Stderr = nil, nil
	return browser.OpenURL(url)
}

// runBrowser tries the commands of $BROWSER, a list separated by colons in which
// %s stands for the URL.
func runBrowser(commands, url string) (err error) {
	for command := range strings.SplitSeq(commands, ":") {
		words := strings.Fields(command)
		if len(words) == 0 {
			continue
		}
		placed := false
		for i, word := range words {
			if strings.Contains(word, "%s") {
				words[i], placed = strings.ReplaceAll(word, "%s", url), true
			}
		}
		if !placed {
			words = append(words, url)
		}
		if err = exec.Command(words[0], words[1:]...).Run(); err == nil {
			return nil
		}
	}
	return err
}
