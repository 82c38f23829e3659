-- What was said in sessions, to be found again. It follows from the recordings,
-- and can be made anew from them.

-- search_sessions says which recordings were indexed.
CREATE TABLE search_sessions (
	session TEXT PRIMARY KEY REFERENCES sessions (id),
	version {{.Int}} NOT NULL,           -- of the indexer
	at      {{.Int}} NOT NULL,
	state   TEXT NOT NULL                -- done, locked (no key here opens it), failed, cut short
) {{.Strict}};
