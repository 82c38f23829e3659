-- The audit log: one Merkle tree (RFC 6962) over all events.

-- size and frontier are in the counters' row, which every write transaction
-- holds: so events are numbered without gaps and the tree never forks, whichever
-- CA writes. frontier has the roots of the full subtrees, the largest first.
ALTER TABLE counters ADD COLUMN size {{.Int}} NOT NULL DEFAULT 0;
ALTER TABLE counters ADD COLUMN frontier {{.Bytes}} NOT NULL DEFAULT {{.NoBytes}};
ALTER TABLE counters ADD COLUMN at {{.Int}} NOT NULL DEFAULT 0; -- of the last event, Unix microseconds

{{refuseAs "counters_shrunk" "counters" "UPDATE" `NEW.size < OLD.size OR NEW.at < OLD.at
	OR (NEW.size = OLD.size AND NEW.frontier <> OLD.frontier)` "the log never shrinks"}}

-- events is evidence. leaf is the bytes that were hashed; the columns beside it
-- are copies, to find it by.
CREATE TABLE events (
	idx      {{.Int}} PRIMARY KEY CHECK (idx >= 0),
	at       {{.Int}} NOT NULL, -- Unix microseconds
	kind     TEXT NOT NULL,
	reason   TEXT NOT NULL,
	actor    TEXT NOT NULL,
	identity TEXT NOT NULL,
	login    TEXT NOT NULL,
	node     TEXT NOT NULL,
	session  TEXT NOT NULL,
	hash     {{.Bytes}} NOT NULL CHECK (length(hash) = 32), -- of the leaf
	leaf     TEXT NOT NULL
) {{.Strict}};

-- For each thing to find events by, those that have it, in the order of the log.
-- None is by time: at never falls, so that a time is looked for by halving.
CREATE INDEX events_kind ON events (kind, idx);
CREATE INDEX events_reason ON events (reason, idx) WHERE reason <> '';
CREATE INDEX events_identity ON events (identity, idx) WHERE identity <> '';
CREATE INDEX events_actor ON events (actor, idx) WHERE actor <> identity AND actor <> '';
CREATE INDEX events_node ON events (node, idx) WHERE node <> '';
CREATE INDEX events_session ON events (session, idx) WHERE session <> '';

{{refuse "events" "UPDATE" `TRUE` "an event never changes"}}
{{refuse "events" "DELETE" `TRUE` "events are kept"}}

-- tiles are the full tiles of 256 hashes (C2SP tlog-tiles), made after the
-- events; what they say follows from the events, and a missing one is made anew.
CREATE TABLE tiles (
	level  {{.Int}} NOT NULL CHECK (level >= 0),
	idx    {{.Int}} NOT NULL CHECK (idx >= 0),
	hashes {{.Bytes}} NOT NULL CHECK (length(hashes) = 8192),
	PRIMARY KEY (level, idx)
) {{.Keyed}};

{{refuse "tiles" "UPDATE" `TRUE` "a full tile never changes"}}
{{refuse "tiles" "DELETE" `TRUE` "tiles are kept"}}

-- checkpoints that were signed, and by which witnesses (C2SP tlog-cosignature).
-- note is the signed note as it was first published; cosignatures are its lines
-- of witnesses, which come later.
CREATE TABLE checkpoints (
	size         {{.Int}} PRIMARY KEY CHECK (size >= 0),
	root         {{.Bytes}} NOT NULL CHECK (length(root) = 32),
	at           {{.Int}} NOT NULL, -- Unix microseconds
	note         TEXT NOT NULL,
	cosignatures TEXT NOT NULL DEFAULT ''
) {{.Strict}};

{{refuse "checkpoints" "UPDATE" `NEW.size <> OLD.size OR NEW.root <> OLD.root OR NEW.at <> OLD.at OR NEW.note <> OLD.note
	OR substr(NEW.cosignatures, 1, length(OLD.cosignatures)) <> OLD.cosignatures` "a checkpoint gets cosignatures, and nothing else changes"}}
{{refuse "checkpoints" "DELETE" `TRUE` "checkpoints are kept"}}
