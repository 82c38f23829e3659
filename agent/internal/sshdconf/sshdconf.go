// Package sshdconf reads and writes what sshd reads: sshd_config(5) with all
// that it includes, the output of `sshd -T`, and the agent's own drop-in.
//
// # Promises
//
// A copy of a configuration means to sshd what the original means: the same
// lines in the same order, with every Include pointing at copies. What the
// package takes out of sshd_config is exactly what it put in, and every other
// byte of the admin's file stays.
//
// The package does not decide what is in effect: sshd does, and is asked.
package sshdconf

import (
	"fmt"
	"strings"
)

// Line is one line of a configuration file.
type Line struct {
	Raw     string   // as it stands in the file, without the newline
	Keyword string   // lower case; "" for comments and empty lines
	Args    []string // unquoted
}

// blanks are what sshd skips around words (misc.c, WHITESPACE).
const blanks = " \t\r\f"

// parseLine splits a line as sshd does: a keyword, blanks or one '=', arguments
// that may stand in double quotes. Where versions of sshd differ (a comment after
// the arguments, escapes) it is no matter: only Include, Match and what is shown
// to people is read here.
func parseLine(raw string) Line {
	l := Line{Raw: raw}
	rest := strings.Trim(raw, blanks)
	if rest == "" || rest[0] == '#' {
		return l
	}
	end := strings.IndexAny(rest, blanks+"=")
	if end < 0 {
		end = len(rest)
	}
	l.Keyword, rest = strings.ToLower(rest[:end]), strings.TrimLeft(rest[end:], blanks)
	rest = strings.TrimPrefix(rest, "=")
	for {
		rest = strings.TrimLeft(rest, blanks)
		if rest == "" || rest[0] == '#' {
			return l
		}
		var arg string
		arg, rest = nextArg(rest)
		l.Args = append(l.Args, arg)
	}
}

func nextArg(s string) (arg, rest string) {
	if quoted, ok := strings.CutPrefix(s, `"`); ok {
		if arg, rest, ok = strings.Cut(quoted, `"`); ok {
			return arg, rest
		}
		return quoted, "" // sshd refuses it; that is for sshd to say
	}
	if end := strings.IndexAny(s, blanks); end >= 0 {
		return s[:end], s[end:]
	}
	return s, ""
}

// parse splits a file into lines.
func parse(text []byte) []Line {
	var lines []Line
	for raw := range strings.Lines(string(text)) {
		lines = append(lines, parseLine(strings.TrimSuffix(raw, "\n")))
	}
	return lines
}

// Setting is a line that sets something, and where it stands.
type Setting struct {
	Line
	File   string
	Number int    // from 1
	Match  string // the arguments of the Match block around it, "" for none
}

// Place is what people are told: "/etc/ssh/sshd_config line 12".
func (s Setting) Place() string { return fmt.Sprintf("%s line %d", s.File, s.Number) }
