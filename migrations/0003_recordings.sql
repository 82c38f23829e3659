-- What is known of each session's recording, where it is kept and until when.

CREATE TABLE recordings (
	session  TEXT PRIMARY KEY REFERENCES sessions (id),
	header   {{.Bytes}} CHECK (length(header) = 32),  -- with which its chain begins; NULL until the proxy told
	started  {{.Int}} NOT NULL DEFAULT 0,
	digest   {{.Bytes}} CHECK (length(digest) = 32),  -- with which its chain ends; NULL until it is sealed
	seal     {{.Bytes}},                              -- the seal as the proxy wrote it
	sealed   {{.Int}} NOT NULL DEFAULT 0,
	cut      {{.Bool}} NOT NULL DEFAULT FALSE,        -- finished after a crash
	frames   {{.Int}} NOT NULL DEFAULT 0,
	bytes    {{.Int}} NOT NULL DEFAULT 0,
	commands {{.Int}} NOT NULL DEFAULT 0,             -- as the proxy counted
	files    {{.Int}} NOT NULL DEFAULT 0,
	recipients TEXT NOT NULL DEFAULT '[]',            -- JSON array: to whom it is encrypted
	retain   {{.Int}} NOT NULL DEFAULT 0,             -- kept until; 0: for ever
	lost     {{.Int}} NOT NULL DEFAULT 0,             -- when it was given up
	stored   {{.Int}} NOT NULL DEFAULT 0,             -- when all of it was seen in the storage, which was told retain
	looked   {{.Int}} NOT NULL DEFAULT 0,             -- when it was last looked for there
	held     {{.Bool}} NOT NULL DEFAULT FALSE,        -- what the storage was told of a hold
	deleting {{.Int}} NOT NULL DEFAULT 0,             -- since when; from then on it cannot be held
	deleted  {{.Int}} NOT NULL DEFAULT 0
) {{.Strict}};

CREATE INDEX recordings_retain ON recordings (retain) WHERE retain > 0 AND deleted = 0;
CREATE INDEX recordings_deleting ON recordings (deleting) WHERE deleting > 0 AND deleted = 0;
CREATE INDEX recordings_unstored ON recordings (looked) WHERE digest IS NOT NULL AND stored = 0 AND deleted = 0;
CREATE INDEX recordings_told_held ON recordings (session) WHERE held AND deleted = 0;

-- What was told once stays: the digest of a deleted recording, too.
{{refuse "recordings" "UPDATE" `NEW.session <> OLD.session
	OR (OLD.header IS NOT NULL AND NEW.header IS DISTINCT FROM OLD.header)
	OR (OLD.digest IS NOT NULL AND (NEW.digest IS DISTINCT FROM OLD.digest OR NEW.seal IS DISTINCT FROM OLD.seal
		OR NEW.sealed <> OLD.sealed OR NEW.frames <> OLD.frames OR NEW.bytes <> OLD.bytes))
	OR (OLD.deleted > 0 AND NEW.deleted <> OLD.deleted)` "a recording is sealed once and deleted once"}}
{{refuse "recordings" "DELETE" `TRUE` "what is known of a recording is kept"}}

-- holds are legal holds: while a session has one, its recording is not deleted.
CREATE TABLE holds (
	session TEXT PRIMARY KEY REFERENCES sessions (id),
	author  TEXT NOT NULL,
	at      {{.Int}} NOT NULL,
	reason  TEXT NOT NULL
) {{.Strict}};

-- retention is how the worker that deletes knows that it is the only one, and
-- that the clock can be believed: at is its last turn, steady since when there was
-- no jump between two turns.
CREATE TABLE retention (
	one    {{.Int}} PRIMARY KEY CHECK (one = 1),
	holder TEXT NOT NULL DEFAULT '',
	until  {{.Int}} NOT NULL DEFAULT 0,
	at     {{.Int}} NOT NULL DEFAULT 0,
	steady {{.Int}} NOT NULL DEFAULT 0
) {{.Strict}};

INSERT INTO retention (one) VALUES (1);

{{refuse "retention" "DELETE" `TRUE` "its row stays"}}
