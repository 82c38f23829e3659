package people

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/ca/internal/door"
	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// maxWait is how long a caller may wait for an event, in seconds.
const maxWait = 60

// auditor refuses who is none.
func auditor(c *call) error {
	if c.Caller.Auditor {
		return nil
	}
	return fault.New(fault.Denied, fault.NotAuditor, "%s is no auditor here", c.Caller.Name()).
		Then("auditors are named in the CA's configuration (auditors) and in roles (duties)")
}

// audit lists events. With wait it answers when there is one, or with none.
func (p *people) audit(w http.ResponseWriter, c *call) error {
	if err := auditor(c); err != nil {
		return err
	}
	f, err := wire.ParseAuditFilter(c.URL.Query())
	if err != nil {
		return err
	}
	wait := time.Duration(min(f.Wait, maxWait)) * time.Second
	if wait > 0 && !f.Oldest {
		return badRequest("wait goes with oldest: what is new stands at the end")
	}
	door.Extend(w, wait+time.Minute)
	until := time.Now().Add(wait)
	for {
		list, size, err := p.Store.Events(c.Context(), f)
		if err != nil {
			return err
		}
		if left := time.Until(until); len(list) == 0 && left > 0 {
			// What was read has nothing for this caller: go on behind it.
			f.From = max(f.From, size)
			grown, err := p.AuditLog.Wait(c.Context(), size, left)
			if err != nil {
				return err
			}
			if grown > size {
				continue
			}
		}
		page := wire.AuditPage{Entries: make([]wire.AuditEntry, len(list)), Size: size}
		for i, e := range list {
			page.Entries[i] = wire.AuditEntry{Index: e.Index, Event: json.RawMessage(e.Leaf)}
		}
		return writePage(w, page)
	}
}

// writePage writes the events as the leaves are: encoding/json would compact them
// and escape what the leaf does not.
func writePage(w http.ResponseWriter, page wire.AuditPage) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	body := []byte(`{"entries":[`)
	for i, e := range page.Entries {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"index":`...)
		body = strconv.AppendInt(body, e.Index, 10)
		body = append(body, `,"event":`...)
		body = append(append(body, e.Event...), '}')
	}
	body = append(body, `],"size":`...)
	body = append(strconv.AppendInt(body, page.Size, 10), '}')
	w.Write(body) // the caller is gone if it fails; there is nobody to tell
	return nil
}

// auditProof proves one event: under the checkpoint of ?size=, or else the one
// that is shown to the world.
func (p *people) auditProof(w http.ResponseWriter, c *call) error {
	if err := auditor(c); err != nil {
		return err
	}
	q := c.URL.Query()
	index, err := strconv.ParseUint(q.Get("index"), 10, 62)
	if err != nil {
		return badRequest("which event? index is its number")
	}
	var under audit.Signed
	if size := q.Get("size"); size == "" {
		under, err = p.AuditLog.Holding(c.Context(), int64(index))
	} else {
		n, bad := strconv.ParseUint(size, 10, 62)
		if bad != nil {
			return badRequest("%q is no size of a log", size)
		}
		under, err = p.AuditLog.CheckpointOf(c.Context(), int64(n))
	}
	if err != nil {
		return err
	}
	entry, err := p.Store.Entry(c.Context(), int64(index))
	if err != nil {
		return err
	}
	proof, err := p.prove(c.Context(), under, entry)
	if err != nil {
		return err
	}
	proof.Checkpoint = string(under.Note)
	return door.WriteJSON(w, proof)
}

func (p *people) prove(ctx context.Context, under audit.Signed, e audit.Entry) (wire.AuditProof, error) {
	hashes, err := p.AuditLog.Prove(ctx, under.Checkpoint, e)
	if err != nil {
		return wire.AuditProof{}, err
	}
	proof := wire.AuditProof{Entry: wire.AuditEntry{Index: e.Index, Event: json.RawMessage(e.Leaf)}, Hashes: make([][]byte, len(hashes))}
	for i, h := range hashes {
		proof.Hashes[i] = h[:]
	}
	return proof, nil
}

// logFiles is the log as C2SP tlog-tiles has it, for anybody.
func (p *people) logFiles(w http.ResponseWriter, c *call) error {
	path := strings.TrimPrefix(c.URL.Path, wire.PathLog)
	if path == "checkpoint" {
		signed, err := p.AuditLog.Checkpoint(c.Context())
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.Write(signed.Note)
		return nil
	}
	t, err := audit.ParseTile(path)
	if err != nil {
		return fault.New(fault.Missing, fault.NotFound, "the log has no file of that name").Because(err)
	}
	if t.Entries && !p.AnyoneReads {
		return fault.New(fault.Denied, fault.NotAuditor, "the events are for auditors; hashes and checkpoints are for anybody").
			Then("an auditor runs: sallyport audit fetch")
	}
	return p.tile(w, c, t, "public")
}

// tile writes a tile or a bundle. One that is served never changes.
func (p *people) tile(w http.ResponseWriter, c *call, t audit.Tile, scope string) error {
	read := p.AuditLog.Tile
	if t.Entries {
		read = p.AuditLog.Bundle
	}
	data, err := read(c.Context(), t)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", scope+", max-age=31536000, immutable")
	w.Write(data)
	return nil
}

// auditEntries are the entry bundles for auditors. With ?events= that many events
// come in one answer, from the bundle's first on: a copy of the log is then one
// request, and with a security key one touch.
func (p *people) auditEntries(w http.ResponseWriter, c *call) error {
	if err := auditor(c); err != nil {
		return err
	}
	t, err := audit.ParseTile("tile/" + strings.TrimPrefix(c.URL.Path, wire.PathAuditEntries))
	if err != nil || !t.Entries {
		return fault.New(fault.Missing, fault.NotFound, "the log has no bundle of that name").Because(err)
	}
	text := c.URL.Query().Get("events")
	if text == "" {
		return p.tile(w, c, t, "private")
	}
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil || t.Width != audit.TileWidth || n == 0 {
		return badRequest("%q is no number of events from there on", text)
	}
	if err := p.AuditLog.Reach(c.Context(), t.First()+int64(n)); err != nil {
		return err
	}
	return p.streamBundles(c.Context(), door.Stream(w, "application/octet-stream"), t, int64(n))
}

func (p *people) streamBundles(ctx context.Context, w io.Writer, t audit.Tile, n int64) error {
	for ; n > 0; n -= audit.TileWidth {
		t.Width = int(min(n, audit.TileWidth))
		data, err := p.AuditLog.Bundle(ctx, t)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		t.Index++
	}
	return nil
}
