package export

import "github.com/sallyport-ssh/sallyport/internal/screen"

// A terminal's output is cut into tokens as a screen cuts it.
type (
	Token   = screen.Token
	Scanner = screen.Scanner
)

// Kinds of tokens.
const (
	Text     = screen.Text
	Control  = screen.Control
	Escape   = screen.Escape
	Sequence = screen.Sequence
	String   = screen.String
)
