package people

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-ssh/sallyport/internal/audit"
	"github.com/sallyport-ssh/sallyport/internal/fault"
	"github.com/sallyport-ssh/sallyport/internal/find"
	"github.com/sallyport-ssh/sallyport/internal/store"
	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// Limits of a search.
const (
	hitsDefault = 50
	hitsMost    = 500
	hitsChunk   = 20                     // of one chunk: a line that comes again and again is one thing to know
	searchPage  = 200                    // chunks that are looked through at once
	searchTime  = 700 * time.Millisecond // after which a page ends with what it has
)

// search finds lines of sessions: of everybody's for auditors, else of the
// caller's own. That somebody searched other people's is an event of the log,
// with what they asked.
func (p *people) search(c *call) (wire.SearchResult, error) {
	none := wire.SearchResult{Hits: []wire.SearchHit{}}
	in, err := wire.ParseSearchQuery(c.URL.Query())
	if err != nil {
		return none, err
	}
	query, err := find.Parse(in.Text)
	if err != nil {
		return none, err
	}
	for _, k := range in.Kind {
		if !slices.Contains(find.Kinds(), find.Kind(k)) {
			return none, badRequest("no line is of kind %q; legal: command, typed, output, file, identity", k)
		}
	}
	if !p.Search {
		return none, fault.New(fault.Unavailable, fault.SearchOff, "this CA keeps no index of recordings").
			Then("its operator can switch it on: search: {index: true}")
	}
	if !c.Caller.Auditor {
		if in.Identity != "" && in.Identity != c.Caller.Name() {
			return none, fault.New(fault.Denied, fault.NotAuditor, "other people's sessions are for auditors")
		}
		in.Identity = c.Caller.Name()
	} else if err := p.Store.Append(c.Context(), audit.Event{
		Kind: audit.RecordingSearched, Outcome: audit.Success, Actor: string(c.Caller.Name()), Client: c.Caller.From.String(),
		Identity: in.Identity, Login: in.Login, Node: in.Node, Text: in.Text,
	}); err != nil {
		return none, err
	}
	ask := store.ChunkSearch{Identity: in.Identity, Node: in.Node, Login: in.Login, Since: in.Since, Until: in.Until, Limit: searchPage}
	ask.Words, ask.Prefixes = query.Words()
	if in.Before != "" {
		ask.Before, _ = strconv.ParseInt(in.Before, 10, 64) // checked when it was parsed
	}
	if len(in.Kind) == 1 {
		ask.Kind = find.Kind(in.Kind[0])
	}
	s := searching{query: query, kinds: in.Kind, limit: hitsDefault, result: none}
	if in.Limit > 0 {
		s.limit = min(in.Limit, hitsMost)
	}
	if err := s.run(c.Context(), p.Store, ask); err != nil {
		return none, err
	}
	if in.Before == "" {
		s.result.Locked, s.result.Pending, err = p.Store.SearchGaps(c.Context(), ask)
	}
	return s.result, err
}

// searching is one page of a search under way.
type searching struct {
	query  find.Query
	kinds  []string
	limit  int
	result wire.SearchResult
}

// run looks through chunks until the page is full, there are none left, or it
// has taken long enough: a query whose words are common and never in one line.
func (s *searching) run(ctx context.Context, from *store.Store, ask store.ChunkSearch) error {
	start := time.Now()
	for {
		chunks, err := from.SearchChunks(ctx, ask)
		if err != nil {
			return err
		}
		for _, c := range chunks {
			if len(s.result.Hits) >= s.limit {
				return nil
			}
			if err := s.look(c); err != nil {
				return err
			}
			ask.Before = c.Number
			s.result.Next = strconv.FormatInt(c.Number, 10)
		}
		if len(chunks) < ask.Limit {
			s.result.Next = ""
			return nil
		}
		if time.Since(start) > searchTime {
			return nil
		}
	}
}

// look takes the lines of a chunk that are answers.
func (s *searching) look(c store.ChunkHit) error {
	if len(s.kinds) > 0 && !slices.Contains(s.kinds, string(c.Kind)) {
		return nil
	}
	lines, err := find.Unpack(c.Data)
	if err != nil {
		return err
	}
	found := 0
	for _, l := range lines {
		if found == hitsChunk || !s.query.Matches(l.Text) {
			continue
		}
		found++
		s.result.Hits = append(s.result.Hits, wire.SearchHit{
			Session: c.Session.ID, Identity: c.Session.Identity, Login: c.Session.Login, Node: c.Session.Node,
			Started: c.Session.Started, At: c.Session.Started*1000 + l.At, Offset: l.At,
			Kind: string(c.Kind), Text: strings.ToValidUTF8(l.Text, "\uFFFD"),
		})
	}
	return nil
}
