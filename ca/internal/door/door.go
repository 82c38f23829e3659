// Package door turns a table of routes into an http.Handler. It is what both
// doors of the CA have in common; who stands before them is for the door's own
// Gate to say.
//
// # Promises
//
// A route without a Who, a limit or a handler does not start. No handler runs
// before the gate has admitted its caller, and no more of a body is read than
// the route's limit. Bodies are decoded strictly. Every error leaves as one
// problem+json, with the text that is safe to show; its cause goes to the log.
// A handler that panics is an internal error of that request.
package door

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Who may call a route. The zero Who is nobody.
type Who string

const (
	// At the people's door.
	Anyone Who = "anyone"
	Person Who = "person" // holds a valid login certificate
	Admin  Who = "admin"  // a person who may change things

	// At the parts' door.
	Newcomer Who = "newcomer" // any TLS key; the join token decides
	Agent    Who = "agent"
	Proxy    Who = "proxy"
)

// Route is one row of a door's table. C is what the door's gate knows of a caller.
type Route[C any] struct {
	Method string
	Path   string // as wire writes it, "/v1/sessions/{id}"
	Who    Who
	Limit  int64 // of the body, in bytes; 0 takes no body
	// Quiet routes are polled; their successes are logged at debug level.
	Quiet  bool
	Handle Handler[C]
}

// Handler answers a call, and writes nothing if it returns an error.
type Handler[C any] func(w http.ResponseWriter, call *Call[C]) error

// Call is an admitted request.
type Call[C any] struct {
	*http.Request
	Caller C
	body   []byte
}

// Gate says who calls. It gets the body by calling read, at most once, so that
// it can refuse before anything is read.
type Gate[C any] interface {
	Admit(r *http.Request, who Who, read func() ([]byte, error)) (C, error)
	// Describe says for the request log who calls and from where, as far as Admit
	// has come; no secrets.
	Describe(C) []slog.Attr
}

type door[C any] struct {
	gate Gate[C]
	log  *slog.Logger
	// arrive is how long a body may take; answer, how long the answer may. Long
	// polls and streams set their own (see Extend).
	arrive, answer time.Duration
}

// New makes the handler of a table.
func New[C any](routes []Route[C], gate Gate[C], log *slog.Logger) (http.Handler, error) {
	d := &door[C]{gate: gate, log: log, arrive: 20 * time.Second, answer: time.Minute}
	return d.table(routes)
}

func (d *door[C]) table(routes []Route[C]) (http.Handler, error) {
	mux := http.NewServeMux()
	for _, r := range routes {
		if r.Who == "" || r.Handle == nil || r.Method == "" || r.Limit < 0 {
			return nil, fmt.Errorf("route %s %s says not who may call it, or what it does", r.Method, r.Path)
		}
		if r.Limit == 0 && r.Method != http.MethodGet && r.Method != http.MethodDelete && r.Method != http.MethodPost {
			return nil, fmt.Errorf("route %s %s has no body limit", r.Method, r.Path)
		}
		mux.Handle(r.Method+" "+r.Path, d.serve(r))
	}
	mux.HandleFunc("/", notFound)
	return mux, nil
}

// notFound answers as a CA where no route does, also for a path with another
// method: the mux's own answers are plain text, and a client would take them for
// somebody else's.
func notFound(w http.ResponseWriter, r *http.Request) {
	wire.WriteProblem(w, fault.New(fault.Missing, fault.NotFound, "this CA has no %s %s", r.Method, r.URL.Path).
		Then("is sallyport here older or newer than the CA?"))
}

func (d *door[C]) serve(route Route[C]) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		control := http.NewResponseController(w)
		control.SetReadDeadline(begin.Add(d.arrive))
		control.SetWriteDeadline(begin.Add(d.answer))
		out := &answer{ResponseWriter: w}
		call := &Call[C]{Request: r}
		err := d.handle(out, call, route)
		if err != nil && !out.begun {
			wire.WriteProblem(out, err)
		}
		d.note(call, route, out, err, time.Since(begin))
		if err != nil && out.code == http.StatusOK {
			// The answer broke off in the middle. Without this it would end as
			// if it were whole.
			panic(http.ErrAbortHandler)
		}
	})
}

func (d *door[C]) handle(w *answer, call *Call[C], route Route[C]) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Of(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	taken := false
	read := func() ([]byte, error) {
		taken = true
		call.body, err = readBody(w, call.Request, route.Limit)
		return call.body, err
	}
	if call.Caller, err = d.gate.Admit(call.Request, route.Who, read); err != nil {
		return err
	}
	if !taken {
		if _, err := read(); err != nil {
			return err
		}
	}
	// The request is here. A deadline that stayed would end a long poll: net/http
	// reads on, to notice when the caller goes.
	http.NewResponseController(w).SetReadDeadline(time.Time{})
	return route.Handle(w, call)
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large) && limit == 0:
		return nil, fault.New(fault.Invalid, fault.BadRequest, "%s %s takes no body", r.Method, r.URL.Path)
	case errors.As(err, &large):
		return nil, fault.New(fault.Invalid, fault.TooLarge, "the body is larger than %d bytes", limit)
	case err != nil:
		return nil, fault.New(fault.Invalid, fault.BadRequest, "the body did not arrive whole").Because(err)
	}
	return body, nil
}

// note writes the request's one line. The query is left out: it can hold names.
func (d *door[C]) note(call *Call[C], route Route[C], out *answer, err error, took time.Duration) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("method", route.Method), slog.String("route", route.Path), slog.Int("status", out.status()),
		slog.Duration("took", took),
	}
	attrs = append(attrs, d.gate.Describe(call.Caller)...)
	switch f := fault.Of(err); {
	case err == nil && route.Quiet:
		level = slog.LevelDebug
	case err == nil:
	case errors.Is(err, context.Canceled):
		attrs = append(attrs, slog.String("reason", "gone"))
		level = slog.LevelDebug
	default:
		attrs = append(attrs, slog.String("reason", string(f.Reason)), slog.String("err", err.Error()))
		if f.Kind == fault.Internal {
			level = slog.LevelError
		} else if f.Kind == fault.Unavailable {
			level = slog.LevelWarn
		}
	}
	d.log.LogAttrs(call.Context(), level, "request", attrs...)
}

// answer notes whether and how an answer has begun.
type answer struct {
	http.ResponseWriter
	begun bool
	code  int
}

func (a *answer) WriteHeader(code int) {
	if !a.begun {
		a.begun, a.code = true, code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(p []byte) (int, error) {
	if !a.begun {
		a.begun, a.code = true, http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) status() int { return a.code }
