package store

import (
	"context"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
)

// TakeOutlet makes holder the one that works the outlet called name, for as long
// as lease says, and returns the index of the first event that was not delivered
// yet. mine is false, without an error, while somebody else holds it. The holder
// itself may take it again.
//
// A holder that stands still for longer than its lease loses the outlet without
// being told. What it delivers after that is delivered twice: at least once is
// what an outlet promises.
func (s *Store) TakeOutlet(ctx context.Context, name, holder string, lease time.Duration) (next int64, mine bool, err error) {
	err = s.alone(ctx, func(t *tx) error {
		const take = `INSERT INTO outlets (name, next, holder, until) VALUES ($1, 0, $2, $3)
			ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until
			WHERE outlets.holder = EXCLUDED.holder OR outlets.until < $4
			RETURNING next`
		var err error
		mine, err = t.row(func(r scanner) error { return r.Scan(&next) }, take,
			name, holder, t.nowMicro+lease.Microseconds(), t.nowMicro)
		return err
	})
	return next, mine && err == nil, err
}

// AdvanceOutlet says that every event before next was delivered, and prolongs
// the lease. outlet_lost is for a holder whose outlet somebody else has by now.
func (s *Store) AdvanceOutlet(ctx context.Context, name, holder string, next int64, lease time.Duration) error {
	return s.alone(ctx, func(t *tx) error {
		const advance = `UPDATE outlets SET next = $1, until = $2 WHERE name = $3 AND holder = $4 AND next <= $1`
		n, err := t.exec(advance, next, t.nowMicro+lease.Microseconds(), name, holder)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, fault.OutletLost, "another CA works the outlet %s by now", name)
		}
		return err
	})
}

// LeaveOutlet lets others take the outlet at once.
func (s *Store) LeaveOutlet(ctx context.Context, name, holder string) error {
	return s.alone(ctx, func(t *tx) error {
		const leave = `UPDATE outlets SET until = 0 WHERE name = $1 AND holder = $2`
		_, err := t.exec(leave, name, holder)
		return err
	})
}
