package config

import (
	"io"
	"log/slog"
)

// Log is how a part logs: to stderr, one event a line. It holds no secret.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// DefaultLog is what a part does unless its file says otherwise.
func DefaultLog() Log { return Log{Level: "info", Format: "text"} }

// Check refuses what Logger could not make.
func (l *Log) Check() error {
	_, err := l.Logger(io.Discard, "")
	return err
}

// Logger makes the logger of a part.
func (l *Log) Logger(w io.Writer, part string) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return nil, At("level", "%q is none of debug, info, warn, error", l.Level)
	}
	var h slog.Handler
	switch options := (&slog.HandlerOptions{Level: level}); l.Format {
	case "text":
		h = slog.NewTextHandler(w, options)
	case "json":
		h = slog.NewJSONHandler(w, options)
	default:
		return nil, At("format", "%q is none of text, json", l.Format)
	}
	return slog.New(h).With("part", part), nil
}
