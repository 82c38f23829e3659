package sshdconf

import (
	"fmt"
	"regexp"
	"strconv"
)

// Version is OpenSSH's. The zero Version is unknown, and older than all.
type Version struct{ Major, Minor int }

// Oldest is the first with Include.
var Oldest = Version{8, 2}

var versionWord = regexp.MustCompile(`OpenSSH_(\d{1,3})\.(\d{1,3})`)

// ParseVersion finds the version in what `sshd -V` prints. Before 9.3 sshd has
// no -V, and prints its version with the complaint about it.
func ParseVersion(out []byte) (Version, error) {
	m := versionWord.FindSubmatch(out)
	if m == nil {
		return Version{}, fmt.Errorf("%.100q names no version of OpenSSH", out)
	}
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	return Version{major, minor}, nil
}

// AtLeast says whether v is other or later.
func (v Version) AtLeast(other Version) bool {
	return v.Major > other.Major || v.Major == other.Major && v.Minor >= other.Minor
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }
