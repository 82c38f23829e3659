-- What was said in sessions, to be found again. It follows from the recordings,
-- and can be made anew from them: nothing here is evidence.

-- search_sessions says which recordings were indexed.
CREATE TABLE search_sessions (
	session TEXT PRIMARY KEY REFERENCES sessions (id),
	version {{.Int}} NOT NULL, -- of the indexer
	at      {{.Int}} NOT NULL,
	state   TEXT NOT NULL CHECK (state IN ('done', 'partly', 'locked', 'damaged', 'gone'))
) {{.Strict}};

CREATE INDEX search_sessions_state ON search_sessions (state) WHERE state <> 'done';

-- search_chunks are some lines of one kind each. id rises with the order of
-- indexing, and so nearly with time.
CREATE TABLE search_chunks (
	id      {{.Int}} PRIMARY KEY,
	session TEXT NOT NULL REFERENCES sessions (id),
	started {{.Int}} NOT NULL, -- of the session
	kind    TEXT NOT NULL,
	data    {{.Bytes}} NOT NULL -- package find's Chunk
	{{if not .SQLite}}, words TSVECTOR NOT NULL{{end}}
) {{.Strict}};

CREATE INDEX search_chunks_session ON search_chunks (session);

-- Words are split by the program, so that both databases find the same; they
-- hold nothing but letters and digits, and no positions.
{{if .SQLite -}}
CREATE VIRTUAL TABLE search_words USING fts5 (
	words, content = '', contentless_delete = 1, detail = 'none', tokenize = 'unicode61 remove_diacritics 0'
);
{{- else -}}
CREATE INDEX search_chunks_words ON search_chunks USING gin (words);
{{- end}}
