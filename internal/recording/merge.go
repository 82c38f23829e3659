package recording

import (
	"io"
)

// WriteTo writes everything that is there now to w, from the beginning, in the
// form of a finished part: its blocks as they are, and what only the tails have
// as plain blocks. It is how a recording travels. Next is at the end afterwards.
func (r *Recording) WriteTo(w io.Writer) (int64, error) {
	out := counter{w: w}
	if _, err := out.Write(r.header.Append(nil)); err != nil {
		return out.n, err
	}
	for _, p := range r.places {
		if _, err := io.Copy(&out, io.NewSectionReader(r.rec, p.offset, p.size())); err != nil {
			return out.n, err
		}
	}
	r.SkipFinished()
	var (
		packer Packer
		buf    []byte
	)
	packer.Start(r.header)
	for {
		f, err := r.Next()
		if err != nil && err != io.EOF {
			return out.n, err
		}
		if (err == io.EOF || packer.Add(f)) && !packer.Empty() {
			buf = packer.Block(buf[:0])
			if _, err := out.Write(buf); err != nil {
				return out.n, err
			}
		}
		if err == io.EOF {
			return out.n, nil
		}
	}
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
