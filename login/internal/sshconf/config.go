package sshconf

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/cert"
	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// Lengths of the pattern lists in bytes: ssh_config lines were cut at 1024 up to
// OpenSSH 7.7, known_hosts lines at 8192.
const (
	configList     = 800
	knownHostsList = 6000
)

// Paths are what the configuration points to, absolute.
type Paths struct {
	Program     string // sallyport itself
	Key         string
	Certificate string
	KnownHosts  string
}

// Config is the content of the file that ~/.ssh/config includes.
//
// Host patterns stand before exec, so that nothing runs for anybody else's hosts.
// Where check fails there is no certificate, and the stanza after it refuses to
// connect at all: an ssh that went around the proxy would ask for a password.
func Config(h Hosts, p Paths) ([]byte, error) {
	program, err := shellWord(p.Program)
	if err != nil {
		return nil, err
	}
	var files [3]string
	for i, path := range []string{p.Key, p.Certificate, p.KnownHosts} {
		if files[i], err = configWord(path); err != nil {
			return nil, err
		}
	}
	identity := []string{
		"IdentityFile " + files[0],
		"CertificateFile " + files[1],
		"IdentitiesOnly yes",
		"AddKeysToAgent no",
		"UserKnownHostsFile " + files[2] + " ~/.ssh/known_hosts ~/.ssh/known_hosts2",
		"StrictHostKeyChecking yes",
	}
	// The words are quoted for the shell that ssh hands them to. ssh refuses
	// names with a quote in them since 9.6 (CVE-2023-51385).
	through := []string{"ProxyCommand " + program + " connect " + quoteTokens("%h", "%p", "%r")}
	refuse := "false"
	if runtime.GOOS == "windows" {
		refuse = "cmd /c exit 1"
	} else {
		through = append(through, "ProxyUseFdpass yes")
	}

	var b bytes.Buffer
	stanza := func(head string, lines ...string) {
		fmt.Fprintf(&b, "\n%s\n", head)
		for _, line := range lines {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	b.WriteString("# Written by sallyport, and again at every renewal. Undo: sallyport logout\n")
	for _, x := range h.proxies {
		if x.name != "" && x.name != x.host {
			stanza("Host "+x.name, "HostName "+x.host, "Port "+x.port)
		}
	}
	if hosts := strings.Join(h.proxyHosts(), ","); hosts != "" {
		stanza(fmt.Sprintf(`Match host %s exec "%s check"`, hosts, program), identity...)
	}
	for _, list := range h.nodePatterns(configList, plain) {
		stanza(fmt.Sprintf(`Match host %s exec "%s check"`, list, program), append(through, identity...)...)
		stanza("Match host "+list, "ProxyCommand "+refuse)
	}
	return b.Bytes(), nil
}

// KnownHosts is a known_hosts that takes the host CA's word for our hosts, and
// for nobody else's.
func KnownHosts(h Hosts, hostCAs []ssh.PublicKey) []byte {
	var b bytes.Buffer
	var proxies []string
	for _, host := range h.proxyHosts() {
		proxies = append(proxies, known(host)...)
	}
	lists := h.nodePatterns(knownHostsList, known)
	if len(proxies) > 0 {
		lists = append([]string{strings.Join(proxies, ",")}, lists...)
	}
	for _, list := range lists {
		b.Write(cert.CertAuthority([]string{list}, "sallyport", hostCAs...))
	}
	return b.Bytes()
}

// shellWord is path as one word of the command lines that ssh hands to a shell,
// within the double quotes of `exec "..."`, for which ssh knows no escapes.
func shellWord(path string) (string, error) {
	if strings.ContainsAny(path, "'\"\n\r") {
		return "", unwritable(path)
	}
	path = strings.ReplaceAll(path, "%", "%%")
	if runtime.GOOS == "windows" {
		if strings.Contains(path, " ") {
			return "", unwritable(path)
		}
		return strings.ReplaceAll(path, `\`, "/"), nil
	}
	if strings.Contains(path, `\`) {
		return "", unwritable(path)
	}
	return "'" + path + "'", nil
}

// configWord is path as one word of ssh_config(5), where % and ${ are expanded.
func configWord(path string) (string, error) {
	if strings.ContainsAny(path, "\"\n\r") || strings.Contains(path, "${") {
		return "", unwritable(path)
	}
	if runtime.GOOS == "windows" {
		path = strings.ReplaceAll(path, `\`, "/")
	} else if strings.Contains(path, `\`) {
		return "", unwritable(path)
	}
	return `"` + strings.ReplaceAll(path, "%", "%%") + `"`, nil
}

func unwritable(path string) error {
	return fault.New(fault.Invalid, fault.ConfigInvalid, "ssh's configuration cannot name the path %q", path).
		Then("move it to a path of letters, digits and dashes")
}

// quoteTokens keeps the shell away from what a token expands to.
func quoteTokens(tokens ...string) string {
	quote := "'"
	if runtime.GOOS == "windows" {
		quote = `"`
	}
	return quote + strings.Join(tokens, quote+" "+quote) + quote
}
