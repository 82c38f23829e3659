package auditlog

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
)

// Witness is somebody elsewhere who cosigns checkpoints (C2SP tlog-witness).
type Witness struct {
	URL string // add-checkpoint is below it
	Key *audit.Witness
}

const (
	// witnessTime is how long a witness may take.
	witnessTime = 10 * time.Second
	// witnessRest is how long one is left alone after it failed, at most.
	witnessRest = time.Minute
	// patience is how often a witness may be ahead of this CA, one pause apart.
	patience = 30
)

// ask has each newest checkpoint cosigned by w. While w is away, checkpoints go
// on without it; when it is back, it gets the newest.
func (l *Log) ask(ctx context.Context, w Witness) {
	log := l.Log.With("witness", w.Key.Name())
	var seen int64 // the size that w cosigned last, as far as is known
	rest, away, ahead := pause, false, 0
	for ctx.Err() == nil {
		signed, news := l.current()
		if signed.Size == 0 || l.has(signed, w) {
			select {
			case <-news:
			case <-ctx.Done():
			}
			continue
		}
		cosigned, err := l.cosign(ctx, w, signed, seen)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !away {
				log.Warn("witness does not cosign for now", "size", signed.Size, "err", err)
			}
			away = true
			sleep(ctx, rest)
			rest = min(2*rest, witnessRest)
			continue
		case away:
			log.Info("witness cosigns again", "size", cosigned)
		}
		seen, away, rest = cosigned, false, pause
		if cosigned <= signed.Size {
			ahead = 0
			continue
		}
		// Another CA is ahead, and this one will be soon. If it never is, the
		// witness has seen what this database has not: it is no proof, for the
		// witness is not trusted to stop a log, but somebody has to look.
		if ahead++; ahead == patience {
			log.Error("a witness has seen more of the audit log than there is: was the database restored from a backup?",
				"witness_has", cosigned, "log_has", signed.Size)
		}
		sleep(ctx, pause)
	}
}

// has says whether s is cosigned by w. This CA asks once for each checkpoint.
func (l *Log) has(s audit.Signed, w Witness) bool {
	for _, c := range s.Witnesses {
		if c.Witness == w.Key.Name() {
			return true
		}
	}
	return false
}

// cosign asks w about s, and stores what it says. It returns the size that w has
// cosigned, which is larger than s where another CA was quicker.
func (l *Log) cosign(ctx context.Context, w Witness, s audit.Signed, seen int64) (int64, error) {
	if seen > s.Size {
		seen = 0 // it lost its memory, or never had it: it says so itself
	}
	for range 2 {
		proof, err := s.ProveConsistency(seen, l.tree.reader(ctx))
		if err != nil {
			return 0, l.found(ctx, err)
		}
		answer, has, err := post(ctx, w, seen, proof, s.Note)
		switch {
		case err != nil:
			return 0, err
		case answer == nil && has > s.Size:
			return has, nil
		case answer == nil && has == s.Size && seen == has:
			return 0, fmt.Errorf("it has cosigned another log of %d events", has)
		case answer == nil:
			seen = has
			continue
		}
		line, c, err := w.Key.Cosign(s.Note, answer)
		if err != nil {
			return 0, err
		}
		if err := l.Store.AddCosignatures(ctx, s.Size, line); err != nil {
			return 0, err
		}
		l.cosigned(s, line, c)
		return s.Size, nil
	}
	return 0, errors.New("it says that it has cosigned another size each time")
}

// cosigned notes a cosignature with the newest checkpoint.
func (l *Log) cosigned(s audit.Signed, line string, c audit.Cosignature) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest.Size == s.Size {
		l.newest.Note = append(bytes.Clone(l.newest.Note), line...)
		l.newest.Witnesses = append(l.newest.Witnesses[:len(l.newest.Witnesses):len(l.newest.Witnesses)], c)
		s = l.newest
	}
	if len(s.Witnesses) >= l.Trust.Quorum() {
		l.witnessed = max(l.witnessed, s.Size)
	}
}

// post is one request of the protocol. answer is nil where the witness has
// cosigned another size, which is returned, and wants the proof from there.
func post(ctx context.Context, w Witness, old int64, proof audit.Proof, note []byte) (answer []byte, has int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, witnessTime)
	defer cancel()
	body := fmt.Sprintf("old %d\n", old)
	for _, h := range proof {
		body += base64.StdEncoding.EncodeToString(h[:]) + "\n"
	}
	body += "\n" + string(note)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(w.URL, "/")+"/add-checkpoint", strings.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, audit.MaxNote))
	if err != nil {
		return nil, 0, fmt.Errorf("read the witness's answer: %w", err)
	}
	switch {
	case resp.StatusCode == http.StatusOK && len(data) > 0:
		return data, 0, nil
	case resp.StatusCode == http.StatusConflict && resp.Header.Get("Content-Type") == "text/x.tlog.size":
		n, err := strconv.ParseInt(strings.TrimSuffix(string(data), "\n"), 10, 64)
		if err != nil || n < 0 {
			return nil, 0, errors.New("it answers with a size that is none")
		}
		return nil, n, nil
	}
	return nil, 0, fmt.Errorf("it answers %d: %.100q", resp.StatusCode, data)
}
