package agent

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-ssh/sallyport/internal/cli"
	"github.com/sallyport-ssh/sallyport/internal/config"
)

// Config is the agent's configuration file, which need not exist: enrolment says
// all that has no default.
type Config struct {
	// Dir holds the identity key, what was enrolled, and the files that sshd reads.
	Dir string `yaml:"dir"`
	// SshdConfig is the configuration of the sshd that people are to reach.
	SshdConfig string `yaml:"sshd_config"`
	// DropIn is the agent's file among those that SshdConfig includes. Its name
	// should sort first, because sshd takes the first value of a keyword. Default:
	// sshd_config.d/00-sallyport.conf beside SshdConfig.
	DropIn string `yaml:"drop_in"`
	// Sshd is the program. Default: where distributions keep it.
	Sshd string `yaml:"sshd"`
	// Reload is a command, one word an entry, that has sshd read its configuration
	// again. Default: systemd's unit, or SIGHUP to the process in sshd's PidFile.
	Reload []string `yaml:"reload"`
	// Listen is where sshd answers on this machine, host:port. Default: as its
	// configuration says.
	Listen string `yaml:"listen"`
	// Repair puts right what somebody changed in the agent's files, three times an
	// hour at most. Without it a change is reported, and stays until the CA or a
	// renewal brings something new to install; only what makes sshd refuse every
	// key, such as a KRL that was removed, is put right in any case.
	Repair bool `yaml:"repair"`
	// Log is how this part logs.
	Log config.Log `yaml:"log"`
}

const (
	defaultFile = "/etc/sallyport/agent.yaml"
	dropInName  = "00-sallyport.conf"
)

// Defaults are what the file need not say.
func Defaults() Config {
	return Config{
		Dir:        "/etc/ssh/sallyport",
		SshdConfig: "/etc/ssh/sshd_config",
		Log:        config.DefaultLog(),
	}
}

// Check says what is wrong that the types do not say.
func (c *Config) Check() error {
	for _, p := range []struct{ key, path string }{{"dir", c.Dir}, {"sshd_config", c.SshdConfig}, {"drop_in", c.DropIn}, {"sshd", c.Sshd}} {
		if p.path == "" && (p.key == "drop_in" || p.key == "sshd") {
			continue
		}
		if !filepath.IsAbs(p.path) || filepath.Clean(p.path) != p.path {
			return config.At(p.key, "%q is no absolute path", p.path)
		}
		// They stand in sshd's configuration between quotes, and in patterns.
		if strings.ContainsAny(p.path, "\"\\*?[]%\n\r") {
			return config.At(p.key, "%q has a character that sshd's configuration cannot hold", p.path)
		}
	}
	if len(c.Reload) > 0 && c.Reload[0] == "" {
		return config.At("reload", "the command is empty")
	}
	return nil
}

// places are the flags of every command.
type places struct {
	Config     string `help:"Configuration file; the default one may be absent." default:"/etc/sallyport/agent.yaml" placeholder:"FILE"`
	Dir        string `help:"Directory of the agent's files." placeholder:"DIR"`
	SshdConfig string `help:"sshd's configuration." placeholder:"FILE"`
}

// load reads the configuration: defaults, then the file, then flags.
func (p places) load() (Config, error) {
	c := Defaults()
	if _, err := os.Stat(p.Config); p.Config != defaultFile || !errors.Is(err, fs.ErrNotExist) {
		if err := config.Load(p.Config, &c); err != nil {
			return c, err
		}
	}
	if p.Dir != "" {
		c.Dir = p.Dir
	}
	if p.SshdConfig != "" {
		c.SshdConfig = p.SshdConfig
	}
	if c.DropIn == "" {
		c.DropIn = filepath.Join(filepath.Dir(c.SshdConfig), "sshd_config.d", dropInName)
	}
	return c, c.Check()
}

// logger writes to stderr. Commands that speak to a person log what is wrong, and
// nothing else.
func (c *Config) logger(env cli.Env, quiet bool) (*slog.Logger, error) {
	l := c.Log
	if quiet && l.Level == "info" {
		l.Level = "warn"
	}
	return l.Logger(env.Stderr, "agent")
}
