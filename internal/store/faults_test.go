package store

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/rig"
	"github.com/sallyport-ssh/sallyport/internal/wire"
	"github.com/sallyport-ssh/sallyport/migrations"
)

// The test binary starts itself as the CA that is killed: what to do, and the
// database's URL, stand in its environment.
const (
	childJob = "SALLYPORT_STORE_TEST_JOB"
	childURL = "SALLYPORT_STORE_TEST_URL"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childJob) {
	case "":
		os.Exit(m.Run())
	case "open":
		s, err := Open(context.Background(), Config{URL: os.Getenv(childURL)})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		s.Close()
	case "issue":
		issueUntilKilled(os.Getenv(childURL))
	}
}

func child(t testing.TB, job, url string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	ok(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childJob+"="+job, childURL+"="+url)
	return cmd
}

// issueUntilKilled says on its standard output what was acknowledged, a line
// each: "reserved SERIAL NAME" and "completed SERIAL".
func issueUntilKilled(url string) {
	s, err := Open(context.Background(), Config{URL: url})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for worker := range 8 {
		go func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("p%d-w%d-%d", os.Getpid(), worker, n)
				serial, err := s.RecordLogin(context.Background(), login(name, name))
				if err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				os.Stdout.WriteString(fmt.Sprintf("reserved %d %s\n", serial, name))
				if err := s.Complete(context.Background(), serial, []byte(name)); err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				os.Stdout.WriteString(fmt.Sprintf("completed %d\n", serial))
			}
		}()
		go doUntilKilled(s, uint64(worker))
	}
	select {}
}

// doUntilKilled does what else there is to do, some of which is refused.
func doUntilKilled(s *Store, worker uint64) {
	random := rand.New(rand.NewPCG(uint64(os.Getpid()), worker))
	for n := 0; ; n++ {
		name := fmt.Sprintf("p%d-a%d-%d", os.Getpid(), worker, n)
		if random.IntN(2) == 0 {
			anything(s, random, name)
			continue
		}
		session := wire.Session{ID: id.Session(name), Identity: "you@example.com", Proxy: "p-1"}
		s.OpenSession(context.Background(), opening(session, intent(ProfileSession, name)))
		s.EndSession(context.Background(), session.ID, wire.EndRequest{End: "closed"}, nil, 200)
	}
}

// ledger is what a test was told is done.
type ledger struct {
	mu        sync.Mutex
	reserved  map[id.Serial]string
	completed map[id.Serial]bool
}

func newLedger() *ledger {
	return &ledger{reserved: map[id.Serial]string{}, completed: map[id.Serial]bool{}}
}

func (l *ledger) reserve(t testing.TB, serial id.Serial, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, twice := l.reserved[serial]; twice {
		t.Errorf("serial %d was given to %s and to %s", serial, other, name)
	}
	l.reserved[serial] = name
}

func (l *ledger) complete(serial id.Serial) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.completed[serial] = true
}

func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.reserved)
}

// check compares the ledger with the database: what was acknowledged is there,
// serials have no gaps, and the audit log tells just that. More may be there than
// was acknowledged.
func (l *ledger) check(t testing.TB, s *Store) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var last int
	must(s.row(t.Context(), func(r scanner) error { return r.Scan(&last) },
		`SELECT coalesce(max(serial), 0) FROM certificates`))(t)
	dense(t, s, last)
	for serial, name := range l.reserved {
		c := must(s.Certificate(t.Context(), serial))(t)
		if c.Subject != name {
			t.Fatalf("serial %d is %s's, and was given to %s", serial, c.Subject, name)
		}
		if l.completed[serial] && string(c.Blob) != name {
			t.Fatalf("serial %d was completed and holds %q", serial, c.Blob)
		}
	}
	proven(t, s)
}

func TestAKilledProcessLosesNothingAndNoSerialIsUsedTwice(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { killIssuers(t, sqliteURL(t)) })
	t.Run("postgres", func(t *testing.T) { killIssuers(t, rig.Postgres(t).URL) })
}

// killIssuers runs two CAs on one database and kills them in turn.
func killIssuers(t *testing.T, url string) {
	told := newLedger()
	for range 4 {
		var wg sync.WaitGroup
		goal := told.len() + 300
		for range 2 {
			cmd := child(t, "issue", url)
			out, err := cmd.StdoutPipe()
			ok(t, err)
			ok(t, cmd.Start())
			wg.Go(func() {
				lines := bufio.NewScanner(out)
				for lines.Scan() {
					var serial id.Serial
					var name string
					line := lines.Text()
					if n, _ := fmt.Sscanf(line, "reserved %d %s", &serial, &name); n == 2 {
						told.reserve(t, serial, name)
					} else if n, _ := fmt.Sscanf(line, "completed %d", &serial); n == 1 {
						told.complete(serial)
					} else {
						t.Errorf("a CA says: %s", line)
					}
					if told.len() >= goal {
						cmd.Process.Kill()
					}
				}
				cmd.Wait()
			})
		}
		wg.Wait()
		s, err := Open(t.Context(), Config{URL: url})
		ok(t, err)
		told.check(t, s)
		ok(t, s.Close())
	}
}

func TestAKilledDatabaseIsStoreAwayAndComesBackByItself(t *testing.T) {
	server := rig.Postgres(t)
	s := open(t, server.URL)
	told := newLedger()
	var done, refusals atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				name := fmt.Sprintf("w%d-%d", worker, n)
				serial, err := s.RecordLogin(t.Context(), login(name, name))
				if err == nil {
					told.reserve(t, serial, name)
					if err = s.Complete(t.Context(), serial, []byte(name)); err == nil {
						told.complete(serial)
						done.Add(1)
					}
				}
				if err == nil {
					continue
				}
				refusals.Add(1)
				expect(t, err, fault.StoreAway)
				if kind := fault.Of(err).Kind; kind != fault.Unavailable {
					t.Errorf("kind %d", kind)
				}
			}
		})
	}
	moves := func(what string, n *atomic.Int64) {
		t.Helper()
		from := n.Load()
		rig.Eventually(t, 20*time.Second, what, func() bool { return n.Load() > from+20 })
	}
	for range 2 {
		moves("certificates are issued", &done)
		server.Kill()
		moves("calls are refused", &refusals)
		refused(t, s.Ping(t.Context()), fault.StoreAway)
		server.Start()
	}
	moves("certificates are issued again", &done)
	cancel()
	wg.Wait()
	ok(t, s.Ping(t.Context()))
	told.check(t, s)
}

func TestAnIdleConnectionThatDiedIsReplacedWithoutAnError(t *testing.T) {
	server := rig.Postgres(t)
	s := open(t, server.URL)
	reserved(t, s, intent(ProfileHost, "a"))
	server.Kill()
	server.Start()
	reserved(t, s, intent(ProfileHost, "b"))
	dense(t, s, 2)
}

func TestAWriterWaitsForAnotherProcessAndNotForEver(t *testing.T) {
	server := rig.Postgres(t)
	s := open(t, server.URL)
	reserved(t, s, intent(ProfileHost, "a"))
	s.writer.patience = 300 * time.Millisecond // no call is under way

	// Another CA hangs inside its transaction.
	other, err := sql.Open("pgx", server.URL)
	ok(t, err)
	defer other.Close()
	held, err := other.BeginTx(t.Context(), nil)
	ok(t, err)
	_, err = held.Exec(`UPDATE counters SET serial = serial + 1`)
	ok(t, err)
	_, err = s.Reserve(t.Context(), ada, intent(ProfileHost, "b"))
	refused(t, err, fault.StoreAway)

	var wg sync.WaitGroup
	s.writer.patience = time.Minute
	wg.Go(func() {
		serials, err := s.Reserve(t.Context(), ada, intent(ProfileHost, "c"))
		if err != nil || serials[0] != 2 {
			t.Errorf("serials %d, %v; want 2", serials, err)
		}
	})
	rig.Eventually(t, 10*time.Second, "the writer waits for the other", func() bool {
		var waiting int
		err := other.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting == 1
	})
	ok(t, held.Rollback())
	wg.Wait()
	dense(t, s, 2)
}

func TestAFullDiskIsStoreAwayAndNothingIsHalfDone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.db")
	s := open(t, "sqlite://"+path)
	must(s.RecordLogin(t.Context(), login("you@example.com", "a")))(t)
	before := dump(t, s)

	// No file of this process may grow past a size: the nearest that a test
	// without root comes to a disk with nothing left.
	var limit syscall.Rlimit
	ok(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	log, err := os.Stat(path + "-wal")
	ok(t, err)
	ok(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(log.Size()), Max: limit.Max}))
	_, policyErr := s.ApplyPolicy(t.Context(), ada, revision("roles: []"), 0)
	_, loginErr := s.RecordLogin(t.Context(), login("you@example.com", "b"))
	ok(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))

	refused(t, policyErr, fault.StoreAway)
	refused(t, loginErr, fault.StoreAway)
	if after := dump(t, s); after != before {
		t.Fatalf("before:\n%s\nafter:\n%s", before, after)
	}
	must(s.RecordLogin(t.Context(), login("you@example.com", "b")))(t)
	must(s.ApplyPolicy(t.Context(), ada, revision("roles: []"), 0))(t)
	dense(t, s, 2)
}

func TestProcessesThatStartAtOnceMigrateOnce(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { startAtOnce(t, sqliteURL(t)) })
	t.Run("postgres", func(t *testing.T) { startAtOnce(t, rig.Postgres(t).URL) })
}

func startAtOnce(t *testing.T, url string) {
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if out, err := child(t, "open", url).CombinedOutput(); err != nil {
				t.Errorf("a CA that started: %v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	s := open(t, url)
	var steps int
	must(s.row(t.Context(), func(r scanner) error { return r.Scan(&steps) },
		`SELECT count(*) FROM migrations WHERE version_id > 0`))(t)
	if all, _ := migrations.All(migrations.SQLite); steps != len(all) {
		t.Fatalf("%d migrations ran, want %d", steps, len(all))
	}
	dense(t, s, 0)
}
