package store

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
)

var loginPromises = []promise{
	{"serials start at one and rise by one", func(t *testing.T, s *Store) {
		for want := id.Serial(1); want <= 3; want++ {
			if got := must(s.RecordLogin(t.Context(), login("you@example.com", fmt.Sprint(want))))(t); got != want {
				t.Fatalf("serial %d, want %d", got, want)
			}
		}
	}},
	{"a token that was used is refused and takes no serial", func(t *testing.T, s *Store) {
		must(s.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
		_, err := s.RecordLogin(t.Context(), login("you@example.com", "a"))
		refused(t, err, fault.TokenReplayed)
		if got := must(s.RecordLogin(t.Context(), login("you@example.com", "b")))(t); got != 2 {
			t.Fatalf("serial %d after a refusal, want 2", got)
		}
	}},
	{"a refused login uses up nothing of what it brought", func(t *testing.T, s *Store) {
		must(s.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
		mixed := login("you@example.com", "b")
		mixed.Once[1] = login("you@example.com", "a").Once[1]
		_, err := s.RecordLogin(t.Context(), mixed)
		refused(t, err, fault.TokenReplayed)
		ok(t, s.UseOnce(t.Context(), mixed.Once[0]))
	}},
	{"the same hash of another kind is another thing", func(t *testing.T, s *Store) {
		ok(t, s.UseOnce(t.Context(), Once{"request", hash("a"), far}))
		ok(t, s.UseOnce(t.Context(), Once{"nonce", hash("a"), far}))
		refused(t, s.UseOnce(t.Context(), Once{"nonce", hash("a"), far}), fault.TokenReplayed)
	}},
	{"one thing brought twice in one call is refused", func(t *testing.T, s *Store) {
		o := Once{"request", hash("a"), far}
		refused(t, s.UseOnce(t.Context(), o, o), fault.TokenReplayed)
		ok(t, s.UseOnce(t.Context(), o))
	}},
	{"a hash that is no SHA-256 is refused", func(t *testing.T, s *Store) {
		refused(t, s.UseOnce(t.Context(), Once{"request", []byte("short"), far}), fault.InternalError)
	}},
	{"of many who bring the same token at once one gets in", func(t *testing.T, s *Store) {
		const many = 50
		serials := make([]id.Serial, many)
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				var err error
				serials[i], err = s.RecordLogin(t.Context(), login("you@example.com", "same"))
				if err != nil {
					if fault.ReasonOf(err) != fault.TokenReplayed {
						t.Errorf("reason %q: %v", fault.ReasonOf(err), err)
					}
				}
			})
		}
		wg.Wait()
		slices.Sort(serials)
		if serials[many-1] != 1 || serials[many-2] != 0 {
			t.Fatalf("serials %v, want a single 1", serials)
		}
	}},
	{"an identity comes back as it was described", func(t *testing.T, s *Store) {
		l := login("you@example.com", "a")
		must(s.RecordLogin(t.Context(), l))(t)
		got := must(s.Identity(t.Context(), "you@example.com"))(t)
		if diff := cmp.Diff(l.Identity, got); diff != "" {
			t.Fatal(diff)
		}
	}},
	{"an identity without groups and claims comes back without", func(t *testing.T, s *Store) {
		l := login("you@example.com", "a")
		l.Identity.Groups, l.Identity.Claims = nil, nil
		must(s.RecordLogin(t.Context(), l))(t)
		got := must(s.Identity(t.Context(), "you@example.com"))(t)
		if len(got.Groups) != 0 || got.Claims != nil {
			t.Fatalf("%+v", got)
		}
	}},
	{"changed groups are stored at once", func(t *testing.T, s *Store) {
		must(s.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
		l := login("you@example.com", "b")
		l.Identity.Groups = []string{"eng", "dba"}
		must(s.RecordLogin(t.Context(), l))(t)
		got := must(s.Identity(t.Context(), "you@example.com"))(t)
		if !slices.Equal(got.Groups, l.Identity.Groups) {
			t.Fatalf("groups %v", got.Groups)
		}
	}},
	{"a login within a minute that changes nothing does not move seen", func(t *testing.T, s *Store) {
		for n, c := range []struct{ at, want int64 }{{1000, 1000}, {1059, 1000}, {1060, 1060}, {500, 1060}} {
			l := login("you@example.com", fmt.Sprint(n))
			l.Identity.Seen = c.at
			must(s.RecordLogin(t.Context(), l))(t)
			if got := must(s.Identity(t.Context(), "you@example.com"))(t).Seen; got != c.want {
				t.Fatalf("seen %d after a login at %d, want %d", got, c.at, c.want)
			}
		}
	}},
	{"a name never moves to another subject", func(t *testing.T, s *Store) {
		must(s.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
		for n, change := range []func(*Identity){
			func(i *Identity) { i.Subject = "somebody-else" },
			func(i *Identity) { i.Issuer = "https://other.example" },
		} {
			l := login("you@example.com", fmt.Sprint(n))
			l.Identity.Groups = []string{"admins"}
			change(&l.Identity)
			_, err := s.RecordLogin(t.Context(), l)
			refused(t, err, fault.TokenOtherIdentity)
			got := must(s.Identity(t.Context(), "you@example.com"))(t)
			if diff := cmp.Diff(login("you@example.com", "a").Identity, got); diff != "" {
				t.Fatal(diff)
			}
			ok(t, s.UseOnce(t.Context(), l.Once...)) // not used up by the refusal
		}
	}},
	{"of two subjects who claim one name at once one gets it", func(t *testing.T, s *Store) {
		errs := make([]error, 20)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				l := login("you@example.com", fmt.Sprint(i))
				l.Identity.Subject = fmt.Sprint("sub", i%2)
				_, errs[i] = s.RecordLogin(t.Context(), l)
			})
		}
		wg.Wait()
		owner := must(s.Identity(t.Context(), "you@example.com"))(t).Subject
		for i, err := range errs {
			if fmt.Sprint("sub", i%2) == owner {
				ok(t, err)
			} else {
				refused(t, err, fault.TokenOtherIdentity)
			}
		}
	}},
	{"an identity that never logged in is not found", func(t *testing.T, s *Store) {
		_, err := s.Identity(t.Context(), "you@example.com")
		refused(t, err, fault.NotFound)
	}},
	{"text that a database cannot hold is refused and nobody else's work with it", func(t *testing.T, s *Store) {
		errs := make([]error, 20)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				l := login(fmt.Sprint("you", i), fmt.Sprint(i))
				if i == 7 {
					l.Once[0].Hash = []byte("no hash")
				}
				_, errs[i] = s.RecordLogin(t.Context(), l)
			})
		}
		wg.Wait()
		for i, err := range errs {
			if (err != nil) != (i == 7) {
				t.Fatalf("login %d: %v", i, err)
			}
		}
	}},
	{"expired things used once are swept away by those who write", func(t *testing.T, s *Store) {
		now := s.clock().Unix()
		var old []Once
		for i := range 500 {
			old = append(old, Once{"old", hash(fmt.Sprint("old", i)), now - sweepGrace - 10})
		}
		ok(t, s.UseOnce(t.Context(), old...))
		fresh := Once{"fresh", hash("fresh"), now - sweepGrace + 60}
		ok(t, s.UseOnce(t.Context(), fresh))
		left := -1
		for i := 0; left != 0; i++ {
			if i == 20 {
				t.Fatalf("%d expired rows are left", left)
			}
			var more []Once
			for j := range sweepSlice / sweepRatio {
				more = append(more, Once{"new", hash(fmt.Sprint(i, j)), far})
			}
			ok(t, s.UseOnce(t.Context(), more...))
			const count = `SELECT count(*) FROM once WHERE kind = 'old'`
			must(s.row(t.Context(), func(r scanner) error { return r.Scan(&left) }, count))(t)
		}
		refused(t, s.UseOnce(t.Context(), fresh), fault.TokenReplayed)
	}},
}

func TestAStoreThatWasNotOpenedRefusesEveryCall(t *testing.T) {
	var s Store
	ok(t, s.Close())
	methods := reflect.ValueOf(&s)
	for i := range methods.NumMethod() {
		name, method := methods.Type().Method(i).Name, methods.Method(i)
		if name == "Close" {
			continue
		}
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for n := 1; n < method.Type().NumIn() && !(method.Type().IsVariadic() && n == method.Type().NumIn()-1); n++ {
			args = append(args, reflect.Zero(method.Type().In(n)))
		}
		answers := method.Call(args)
		if err, _ := answers[len(answers)-1].Interface().(error); err == nil {
			t.Errorf("%s is done by a store that was not opened", name)
		}
	}
	refused(t, s.Ping(t.Context()), fault.StoreAway)
}

func TestAURLOfNoDatabaseIsRefusedWithoutRepeatingIt(t *testing.T) {
	for _, url := range []string{
		"", "mysql://you:secret@host/db", "sqlite:", "sqlite://relative/secret.db", "sqlite://",
		"postgres://you:secret@host:notaport/db", "/var/lib/secret.db",
	} {
		s, err := Open(t.Context(), Config{URL: url, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			s.Close()
			t.Fatalf("%q was opened", url)
		}
		refused(t, err, fault.ConfigInvalid)
		if strings.Contains(err.Error(), "secret") {
			t.Fatalf("%q: %v", url, err)
		}
	}
}
