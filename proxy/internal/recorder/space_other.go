//go:build !linux && !darwin && !freebsd

package recorder

import "errors"

func diskSpace(string) (free, size int64, err error) { return 0, 0, errors.ErrUnsupported }
