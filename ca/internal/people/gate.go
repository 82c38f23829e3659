package people

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// gate proves who calls.
type gate struct {
	people *people
	seen   *replays
}

func (g *gate) Describe(c Caller) []slog.Attr {
	attrs := []slog.Attr{slog.Any("from", c.From)}
	if c.Name() != "" {
		attrs = append(attrs, slog.String("identity", string(c.Name())))
	}
	return attrs
}

// Admit verifies a proven request. Its order keeps what an unproven caller can
// cost small: the certificate is verified before the body is read, and the body
// is read before the database is written.
func (g *gate) Admit(r *http.Request, who door.Who, read func() ([]byte, error)) (Caller, error) {
	caller := Caller{From: g.from(r)}
	if who == door.Anyone {
		return caller, nil
	}
	proof, err := wire.ReadProof(r)
	if err != nil {
		return caller, err
	}
	h, err := g.people.Holders.Check(r.Context(), proof.Certificate, caller.From)
	if err != nil {
		return caller, err
	}
	body, err := read()
	if err != nil {
		return caller, err
	}
	once, err := proof.Verify(r, body, g.people.URL.Host, g.people.Now())
	if err != nil {
		return caller, err
	}
	if err := g.use(r, store.Once{Kind: "request", Hash: once, Expires: proof.Time.Add(wire.ProofWindow).Unix()}); err != nil {
		return caller, err
	}
	caller.Holder, caller.Certificate = h, proof.Certificate
	if err := g.duties(&caller); err != nil {
		return caller, err
	}
	if err := permit(caller, who); err != nil {
		return caller, g.people.refusedDuty(r.Context(), caller, r.Pattern, err)
	}
	return caller, nil
}

// use takes a request's nonce, once. What only reads is remembered here alone:
// a replay at another CA shows its sender what they had already seen.
func (g *gate) use(r *http.Request, once store.Once) error {
	if r.Method == http.MethodGet {
		return g.seen.use(once)
	}
	return g.people.Store.UseOnce(r.Context(), once)
}

// duties says what the caller may do here, by configuration or by a role.
func (g *gate) duties(c *Caller) error {
	view, err := g.people.Directory.View()
	if err != nil {
		return err
	}
	admin, auditor := view.Policy.Duties(c.Subject())
	c.Admin = admin || g.people.Admins.include(*c)
	c.Auditor = auditor || g.people.Auditors.include(*c)
	return nil
}

func (n Named) include(c Caller) bool {
	return slices.Contains(n.Identities, string(c.Name())) ||
		slices.ContainsFunc(c.Identity.Groups, func(g string) bool { return slices.Contains(n.Groups, g) })
}

func permit(c Caller, who door.Who) error {
	if who == door.Person || who == door.Admin && c.Admin {
		return nil
	}
	return fault.New(fault.Denied, fault.NotAdmin, "%s is no admin here", c.Name()).
		Then("admins are named in the CA's configuration (admins) and in roles (duties)")
}

// from is the person's address. Behind a load balancer it is the last address in
// X-Forwarded-For, the one that the balancer itself has added; what stands before
// it is the sender's word.
func (g *gate) from(r *http.Request) netip.Addr {
	if g.people.BehindProxy {
		all := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if a, err := netip.ParseAddr(strings.TrimSpace(all[len(all)-1])); err == nil {
			return a.Unmap()
		}
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	a, _ := netip.ParseAddr(host)
	return a.Unmap()
}

// replays remembers the nonces of requests that only read.
type replays struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[string]int64 // hash to the second when it may be forgotten
	next int64            // when to look for those
}

// maxReplays bounds the memory of replays. Only holders of valid certificates
// add to it.
const maxReplays = 1 << 18

func newReplays(now func() time.Time) *replays {
	return &replays{now: now, seen: map[string]int64{}}
}

func (m *replays) use(once store.Once) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().Unix()
	if now >= m.next {
		m.next = now + 10
		for hash, expires := range m.seen {
			if expires < now {
				delete(m.seen, hash)
			}
		}
	}
	if _, used := m.seen[string(once.Hash)]; used {
		return fault.New(fault.Conflict, fault.TokenReplayed, "this request was sent before")
	}
	if len(m.seen) >= maxReplays {
		return fault.New(fault.Unavailable, fault.CAAway, "the CA is asked too much").Then("try again in a minute")
	}
	m.seen[string(once.Hash)] = once.Expires
	return nil
}
