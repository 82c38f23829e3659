package signin

import (
	"os"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// maxToken bounds an ID token from a file, in bytes.
const maxToken = 64 << 10

// FromFile reads a workload's ID token, as Kubernetes and CI systems leave it in
// a file.
func FromFile(path string) (Tokens, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxToken {
		return Tokens{}, noToken("%s is larger than an ID token", path)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return Tokens{}, noToken("the ID token in %s cannot be read", path).Because(err)
	}
	return fromText(string(data), path)
}

// FromEnv reads a workload's ID token from the environment variable name. The
// token itself never stands on a command line, where every account of the machine
// could read it.
func FromEnv(getenv func(string) string, name string) (Tokens, error) {
	if strings.Count(name, ".") == 2 {
		return Tokens{}, noToken("--id-token-env takes the name of a variable, and got something like a token").
			Then("that token is in this machine's process list now: do not use it again")
	}
	return fromText(getenv(name), "the variable "+name)
}

func fromText(text, where string) (Tokens, error) {
	token := strings.TrimSpace(text)
	if token == "" {
		return Tokens{}, noToken("%s is empty", where)
	}
	if strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \t\r\n") {
		return Tokens{}, noToken("%s has no ID token in it", where)
	}
	return Tokens{ID: token}, nil
}

func noToken(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, fault.TokenInvalid, format, args...)
}
