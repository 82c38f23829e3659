package agent

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// maxToken is more than a join token has, in bytes.
const maxToken = 4096

// joinToken reads the token from where it is: a file, "-" for standard input, or
// the command line, from which it is wiped. "" is none.
func (e enrollCommand) joinToken(env cli.Env) (string, error) {
	if e.Token != "" && e.TokenFile != "" {
		return "", fault.New(fault.Invalid, fault.BadRequest, "--token and --token-file exclude each other")
	}
	switch {
	case e.TokenFile == "-" || e.Token == "-":
		data, err := io.ReadAll(io.LimitReader(env.Stdin, maxToken))
		if err != nil {
			return "", fmt.Errorf("read join token: %w", err)
		}
		token := strings.TrimSpace(string(data))
		if token == "" {
			return "", fault.New(fault.Invalid, fault.BadRequest, "standard input holds no join token")
		}
		return token, nil
	case e.TokenFile != "":
		data, err := config.ReadSecret(e.TokenFile)
		return strings.TrimSpace(string(data)), err
	case e.Token != "":
		token := strings.Clone(e.Token)
		for _, arg := range os.Args {
			if at := strings.Index(arg, token); at >= 0 {
				wipe(arg[at : at+len(token)])
			}
		}
		return token, nil
	}
	return "", nil
}

// wipe writes over a part of an argument in the memory from which ps(1) reads
// the command line. It was there to be seen before; this ends it. Go's os.Args
// are that memory and not copies of it. A string that lies elsewhere is left
// alone: it may not be writable.
func wipe(secret string) {
	start, end, ok := argumentArea()
	p := unsafe.StringData(secret)
	if at := uintptr(unsafe.Pointer(p)); !ok || secret == "" || at < start || at+uintptr(len(secret)) > end {
		return
	}
	area := unsafe.Slice(p, len(secret))
	for i := range area {
		area[i] = 'x'
	}
}

// argumentArea is where the kernel put the arguments: fields 48 and 49 of
// /proc/self/stat (proc(5), arg_start and arg_end).
func argumentArea() (start, end uintptr, ok bool) {
	data, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, false
	}
	// The second field, the name, may hold blanks; the rest begins after its ')'.
	fields := strings.Fields(string(data)[strings.LastIndexByte(string(data), ')')+1:])
	if len(fields) < 47 {
		return 0, 0, false
	}
	n, err := fmt.Sscan(fields[45]+" "+fields[46], &start, &end)
	return start, end, err == nil && n == 2 && start < end
}
