package proxy

import (
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/config"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/proxy/internal/gate"
)

// Config is the proxy's configuration file. What is not said has the value that
// Defaults gives; what has none there must be said.
type Config struct {
	// Name is this proxy's name in the CA: a host name, and where people reach
	// the proxy by a host name, that one.
	Name string `yaml:"name"`
	// Listen is where SSH is served, host:port.
	Listen string `yaml:"listen"`
	// Addr is the proxy as people reach it, host:port. Default: Listen.
	Addr string `yaml:"addr"`
	// CA is the people's door of the CA, as people type it. The parts' door and
	// its key are read from there at enrolment.
	CA string `yaml:"ca"`
	// TokenFile holds a join token, with which the proxy enrols itself when it
	// starts for the first time. The token is of no use afterwards.
	TokenFile string `yaml:"token_file"`
	// Egress are the IP addresses or networks from which this proxy reaches nodes;
	// session certificates are valid from there alone. Default: the address that
	// the CA sees.
	Egress []string `yaml:"egress"`
	// Data is the directory of identity key, host key and enrolment.
	Data string `yaml:"data"`
	// Recordings is the directory of recordings. It is this proxy's alone; a CA on
	// the same machine reads it. Default: recordings under Data.
	Recordings string `yaml:"recordings"`
	// KeepBulk is how much of each direction of a channel without a terminal is
	// kept as it was; beyond, byte count and SHA-256. 0 keeps nothing.
	KeepBulk config.Bytes `yaml:"keep_bulk"`
	// Reserve is how much of the recordings' file system new sessions must leave to
	// those that run: with less, they are refused. 0 is 1 GiB, or 5 % of the file
	// system where that is less.
	Reserve config.Bytes `yaml:"reserve"`
	// Storage is where recordings are brought, while their sessions run.
	Storage Storage `yaml:"storage"`
	// Limits bound what clients may cost that have not logged in.
	Limits Limits `yaml:"limits"`
	// Drain is how long live sessions may go on after SIGTERM; then they are told
	// and ended.
	Drain config.Duration `yaml:"drain"`
	// Debug is a loopback address for profiles (pprof) and counters; "" is none.
	Debug string `yaml:"debug"`
	// Log is how this part logs.
	Log config.Log `yaml:"log"`
}

// Limits are of connections that have not proven an identity.
type Limits struct {
	// Unauthenticated is how many there may be in all.
	Unauthenticated int `yaml:"unauthenticated"`
	// PerAddress is how many of them may come from one IPv4 address or one IPv6
	// /64.
	PerAddress int `yaml:"per_address"`
	// LoginTime is how long one may take, a touch of a security key included.
	LoginTime config.Duration `yaml:"login_time"`
}

// Defaults are what the file need not say.
func Defaults() Config {
	return Config{
		Listen:   "0.0.0.0:22",
		Data:     "/var/lib/sallyport/proxy",
		KeepBulk: 1 << 20,
		Storage:  defaultStorage(),
		Limits:   Limits{Unauthenticated: 512, PerAddress: 64, LoginTime: config.Duration(time.Minute)},
		Drain:    config.Duration(8 * time.Hour),
		Log:      config.DefaultLog(),
	}
}

// complete fills in what follows from the rest.
func (c *Config) complete() {
	if c.Addr == "" {
		c.Addr = c.Listen
	}
	if c.Recordings == "" {
		c.Recordings = filepath.Join(c.Data, "recordings")
	}
}

// Check refuses what could not run. Errors name the key.
func (c *Config) Check() error {
	if c.Name == "" {
		return config.At("name", "name is missing: what is this proxy called?")
	}
	if _, err := id.ParseNodeName(c.Name); err != nil {
		return config.At("name", "%v", err)
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return config.At("listen", "%q is not host:port", c.Listen)
	}
	if c.Addr != "" {
		if _, _, err := net.SplitHostPort(c.Addr); err != nil {
			return config.At("addr", "%q is not host:port", c.Addr)
		}
	}
	if c.CA == "" {
		return config.At("ca", "ca is missing: it looks like https://access.example.com")
	}
	if c.Data == "" {
		return config.At("data", "data is missing: where are the keys to stand?")
	}
	for _, e := range c.Egress {
		if _, err := netip.ParseAddr(e); err == nil {
			continue
		}
		if _, err := netip.ParsePrefix(e); err != nil {
			return config.At("egress", "%q is neither an IP address nor a network such as 10.0.4.0/24", e)
		}
	}
	if c.Debug != "" {
		host, _, err := net.SplitHostPort(c.Debug)
		if addr, bad := netip.ParseAddr(host); err != nil || bad != nil || !addr.IsLoopback() {
			return config.At("debug", "%q is not a loopback address with a port: profiles show memory", c.Debug)
		}
	}
	return c.Limits.Check()
}

// Check refuses limits that let nobody in.
func (l *Limits) Check() error {
	if l.Unauthenticated < 1 {
		return config.At("unauthenticated", "nobody could log in")
	}
	if l.PerAddress < 1 {
		return config.At("per_address", "nobody could log in")
	}
	if l.LoginTime.Std() < 5*time.Second {
		return config.At("login_time", "nobody could log in in %s", l.LoginTime)
	}
	return nil
}

func (l Limits) gate() gate.Limits {
	return gate.Limits{Total: l.Unauthenticated, PerAddress: l.PerAddress}
}
