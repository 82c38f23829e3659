package bundle

import (
	_ "embed"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

//go:embed readme.txt
var readmeText string

// readme is the text for people that a bundle of session carries.
func readme(session id.Session) []byte {
	return []byte(strings.ReplaceAll(readmeText, "{session}", string(session)))
}
