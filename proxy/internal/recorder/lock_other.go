//go:build !unix

package recorder

import (
	"errors"
	"os"
)

// lockFile refuses: without a lock, two proxies would finish each other's live
// recordings. A proxy runs on Unix.
func lockFile(string) (*os.File, error) { return nil, errors.ErrUnsupported }
