package bundle

import (
	"archive/tar"
	"bytes"
	"fmt"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// Members of a bundle.
const (
	memberReadme     = "README.txt"
	memberSums       = "SHA256SUMS"
	memberCheckpoint = "checkpoint"
	memberHost       = "host-cert.pub"
	memberLog        = "log.json"
	memberLogin      = "login-cert.pub"
	memberRecording  = "recording.rec"
	memberSession    = "session-cert.pub"
	memberTrust      = "trust.json"
)

// member is a row of the table of what a bundle holds.
type member struct {
	name  string
	limit int64 // bytes
}

// members in the order in which they stand in the file: sorted, so that the
// order says nothing.
var members = []member{
	{memberReadme, 64 << 10},
	{memberSums, 4 << 10},
	{memberCheckpoint, 1 << 20},
	{memberHost, 64 << 10},
	{memberLog, 16 << 20},
	{memberLogin, 64 << 10},
	{memberRecording, 1 << 40},
	{memberSession, 64 << 10},
	{memberTrust, 1 << 20},
}

// A tar is blocks of 512 bytes: a header, the content, zeros up to a whole
// block; two blocks of zeros are the end (POSIX.1-1988, "ustar").
const (
	blockSize  = 512
	endSize    = 2 * blockSize
	ustarLimit = 8 << 30 // larger members have their size in GNU's binary form
)

// header is the one header that a member of this size has.
func header(session id.Session, name string, size int64) ([]byte, error) {
	format := tar.FormatUSTAR
	if size >= ustarLimit {
		format = tar.FormatGNU
	}
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: string(session) + "/" + name, Size: size,
		Mode: 0o600, ModTime: time.Unix(0, 0), Format: format,
	})
	if err == nil && b.Len() != blockSize {
		err = fmt.Errorf("it takes %d bytes", b.Len())
	}
	if err != nil {
		return nil, fmt.Errorf("make tar header of %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// padding is how many zeros follow a content of this size.
func padding(size int64) int64 { return -size & (blockSize - 1) }
