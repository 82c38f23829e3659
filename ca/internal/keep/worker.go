package keep

import (
	"context"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/id"
	"github.com/sallyport-ssh/sallyport/internal/store"
)

// How the worker goes about it. A hundred deletions a minute are 144,000 a day.
const (
	turn  = time.Minute
	lease = 5 * time.Minute
	most  = 100 // of each kind of work in a turn
	// Quarantine is for how long nothing is deleted after the clock has jumped, and
	// after the CA has begun to keep time.
	Quarantine = 24 * time.Hour
	// grace is after how long a sealed recording that is not in the storage is worth
	// a line in the log.
	grace = 24 * time.Hour
)

// Run keeps house until ctx ends: tells the storage what it is to keep, and
// deletes what is over.
func (k *Keep) Run(ctx context.Context) {
	tick := time.NewTicker(turn)
	defer tick.Stop()
	for {
		if err := k.Turn(ctx); err != nil && ctx.Err() == nil {
			k.Log.Warn("recordings' retention waits", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Turn does what there is to do now, where it is this CA's to do.
func (k *Keep) Turn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lease/2) // nobody else has begun by then
	defer cancel()
	steady, mine, err := k.Store.TakeRetention(ctx, k.Holder, lease)
	if err != nil || !mine {
		return err
	}
	if err := k.settle(ctx); err != nil {
		return err
	}
	return k.remove(ctx, steady)
}

// settle has the storage keep what is wholly in it.
func (k *Keep) settle(ctx context.Context) error {
	list, err := k.Store.Unstored(ctx, most)
	if err != nil {
		return err
	}
	var overdue []id.Session
	for _, r := range list {
		late, err := k.arrived(ctx, r)
		if err != nil {
			return err
		}
		if late {
			overdue = append(overdue, r.Session)
		}
	}
	if len(overdue) > 0 {
		k.Log.Error("sealed recordings are not in the storage; does every proxy bring them there?",
			"storage", k.Storage, "recordings", len(overdue), "one", overdue[0])
	}
	if list, err = k.Store.Untold(ctx, most); err != nil {
		return err
	}
	for _, r := range list {
		err := k.Storage.Hold(ctx, r.Session, r.Held)
		if fault.ReasonOf(err) == fault.NotFound {
			k.Log.Error("a recording is gone from the storage", "session", r.Session, "storage", k.Storage)
			continue
		}
		if err != nil {
			return err
		}
		if err := k.Store.Stored(ctx, r.Session, r.Held); err != nil {
			return err
		}
	}
	return nil
}

// arrived looks whether all of r is in the storage; late says that it should be.
func (k *Keep) arrived(ctx context.Context, r store.Kept) (late bool, err error) {
	size, err := k.Storage.Size(ctx, r.Session)
	if err != nil {
		return false, err
	}
	if size < r.Bytes {
		return k.Now().Unix()-r.Sealed > int64(grace/time.Second), k.Store.Missed(ctx, r.Session)
	}
	if size > r.Bytes {
		k.Log.Error("the storage has more of a recording than was sealed", "session", r.Session, "storage", k.Storage, "bytes", size, "sealed_bytes", r.Bytes)
	}
	if r.Retain > k.Now().Unix() {
		if err := k.Storage.Retain(ctx, r.Session, time.Unix(r.Retain, 0)); err != nil {
			return false, err
		}
	}
	if r.Held {
		if err := k.Storage.Hold(ctx, r.Session, true); err != nil {
			return false, err
		}
	}
	return false, k.Store.Stored(ctx, r.Session, r.Held)
}

// remove deletes what is over. steady is since when the clock can be believed.
func (k *Keep) remove(ctx context.Context, steady int64) error {
	list, err := k.Store.Over(ctx, most)
	if err != nil || len(list) == 0 {
		return err
	}
	if until := time.Unix(steady, 0).Add(Quarantine); k.Now().Before(until) {
		k.Log.Warn("no recording is deleted for now: the clock has jumped, or no CA was there; is the time right?",
			"until", until, "now", k.Now(), "waiting", len(list))
		return nil
	}
	for _, session := range list {
		if err := k.delete(ctx, session); err != nil {
			return err
		}
	}
	return nil
}

// delete deletes one recording.
func (k *Keep) delete(ctx context.Context, session id.Session) error {
	// 1. The database: after this it cannot be held any more.
	switch err := k.Store.BeginDelete(ctx, session); fault.ReasonOf(err) {
	case "":
	case fault.RecordingHeld:
		return nil // somebody was faster
	default:
		return err
	}
	// 2. The storage.
	if err := k.Storage.Delete(ctx, session); err != nil {
		if fault.ReasonOf(err) != fault.RecordingHeld {
			return err // the deletion stands, and is tried again
		}
		k.Log.Warn("the storage keeps a recording whose retention is over", "session", session, "storage", k.Storage, "err", err)
		return k.Store.CancelDelete(ctx, session)
	}
	// 3. The row, and the event with the digest.
	if err := k.Store.FinishDelete(ctx, session); err != nil {
		return err
	}
	k.Log.Info("recording deleted", "session", session)
	return nil
}
