package sshdconf

import (
	"bytes"
	"strings"
)

// mark stands before the one line that the agent puts into the admin's
// sshd_config, so that it is found again.
const mark = "# The next line was put here by the sallyport agent; `sallyport agent uninstall` removes it."

// WithInclude returns config with a line at its top that includes path. sshd
// takes the first value of a keyword, so it has to be the first line. A line
// that stands there already is not put there twice.
func WithInclude(config []byte, path string) []byte {
	return append([]byte(mark+"\n"+includeLine(path)+"\n"), WithoutInclude(config)...)
}

// HasInclude says whether config has the line of WithInclude at its top.
func HasInclude(config []byte, path string) bool {
	return bytes.HasPrefix(config, []byte(mark+"\n"+includeLine(path)+"\n"))
}

// WithoutInclude returns config as it was before WithInclude, wherever the line
// has moved to since.
func WithoutInclude(config []byte) []byte {
	lines := bytes.SplitAfter(config, []byte("\n"))
	var out []byte
	for i := 0; i < len(lines); i++ {
		if string(bytes.TrimRight(lines[i], "\r\n")) != mark {
			out = append(out, lines[i]...)
			continue
		}
		if i+1 < len(lines) && strings.HasPrefix(string(lines[i+1]), "Include ") {
			i++
		}
	}
	return out
}

func includeLine(path string) string { return `Include "` + path + `"` }
