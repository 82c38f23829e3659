package sshconf

import (
	"bytes"
	"strings"
)

// The Include line stands below one of these marks, which say whose it is. The
// second is in a file that was not there before.
const (
	mark     = "# sallyport login added this line and the next; sallyport logout removes them."
	markMade = "# sallyport login made this file; sallyport logout removes this line and the next, and the file when nothing is left."
)

// Install returns content, the person's ssh_config, with our Include as its first
// line, or content itself if it is there. made says that the file is new.
//
// The line has to be at the top: ssh takes the first value of each keyword, and
// below a Host line the Include would count for that host alone.
func Install(content []byte, include string, made bool) []byte {
	block := strings.Join([]string{mark, "Include " + word(include), ""}, eol(content))
	if made {
		block = strings.Join([]string{markMade, "Include " + word(include), ""}, eol(content))
	}
	if bytes.HasPrefix(content, []byte(block)) || includesByHand(content, include) {
		return content
	}
	rest, wasMade := Uninstall(content) // one that stands lower, or for another path
	if wasMade && !made {
		return Install(rest, include, true)
	}
	return append([]byte(block), rest...)
}

// Uninstall returns content without our lines, and whether the file was ours from
// the beginning.
func Uninstall(content []byte) (rest []byte, made bool) {
	lines := bytes.SplitAfter(content, []byte("\n"))
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(string(lines[i]), "\r\n")
		ours := line == mark || line == markMade
		if ours && i+1 < len(lines) && bytes.HasPrefix(lines[i+1], []byte("Include ")) {
			made = made || line == markMade
			i++
			continue
		}
		rest = append(rest, lines[i]...)
	}
	return rest, made
}

// includesByHand: the person wrote the line on their own, where it counts for all
// hosts.
func includesByHand(content []byte, include string) bool {
	lines := strings.Split(string(content), "\n")
	for i, line := range lines {
		fields := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r=", r) })
		if len(fields) == 0 {
			continue
		}
		switch strings.ToLower(fields[0]) {
		case "host", "match":
			return false
		case "include":
			if i > 0 && strings.HasPrefix(lines[i-1], "# sallyport login ") {
				continue
			}
			for _, path := range fields[1:] {
				if strings.Trim(path, `"`) == include {
					return true
				}
			}
		}
	}
	return false
}

// eol is how the lines of content end.
func eol(content []byte) string {
	if i := bytes.IndexByte(content, '\n'); i > 0 && content[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// word quotes path where ssh would otherwise see two. A home directory with a
// quote in its name does not reach this: Config refuses it.
func word(path string) string {
	if strings.ContainsAny(path, " \t#") {
		return `"` + path + `"`
	}
	return path
}
