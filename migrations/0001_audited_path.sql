-- The audited path: certificates and what leads to them, nodes, proxies,
-- sessions, policy. Times are Unix seconds, 0 for never. JSON is TEXT on both
-- databases: it is given back byte for byte and never searched.

-- counters has one row. Every write transaction locks it first (on SQLite, BEGIN
-- IMMEDIATE locks the whole file), so writers of all processes take turns, and a
-- serial that was taken and rolled back is taken again: no gaps.
CREATE TABLE counters (
	one    {{.Int}} PRIMARY KEY CHECK (one = 1),
	serial {{.Int}} NOT NULL CHECK (serial >= 0), -- the last one given
	state  {{.Int}} NOT NULL CHECK (state >= 0)   -- what agents and proxies wait on
) {{.Strict}};

INSERT INTO counters (one, serial, state) VALUES (1, 0, 0);

{{refuse "counters" "UPDATE" `NEW.serial < OLD.serial OR NEW.state < OLD.state` "a counter never falls"}}
{{refuse "counters" "DELETE" `TRUE` "the counters stay"}}

-- once holds what may be used a single time, until its age alone refuses it.
-- The hash is first in the key: the table is swept in its order.
CREATE TABLE once (
	hash    {{.Bytes}} NOT NULL CHECK (length(hash) = 32), -- SHA-256
	kind    TEXT NOT NULL,
	expires {{.Int}} NOT NULL,
	PRIMARY KEY (hash, kind)
) {{.Keyed}};

CREATE TABLE identities (
	name    TEXT PRIMARY KEY,
	issuer  TEXT NOT NULL,
	subject TEXT NOT NULL,
	groups  TEXT NOT NULL, -- JSON array
	claims  TEXT NOT NULL, -- JSON object, or empty
	seen    {{.Int}} NOT NULL
) {{.Strict}};

{{refuse "identities" "UPDATE" `NEW.name <> OLD.name OR NEW.issuer <> OLD.issuer OR NEW.subject <> OLD.subject` "a name never moves to another subject"}}
{{refuse "identities" "DELETE" `TRUE` "a name never moves to another subject"}}

-- certificates is evidence. A row is written before the certificate is signed;
-- after that it may be completed once and revoked once, and nothing else.
CREATE TABLE certificates (
	serial       {{.Int}} PRIMARY KEY CHECK (serial > 0), -- sshd reads no KRL that lists 0
	profile      TEXT NOT NULL CHECK (profile IN ('login', 'session', 'host')),
	subject      TEXT NOT NULL,
	key_print    TEXT NOT NULL,
	valid_after  {{.Int}} NOT NULL,
	valid_before {{.Int}} NOT NULL,
	reserved     {{.Int}} NOT NULL,
	certificate  {{.Bytes}}, -- SSH wire blob; NULL until it is signed
	revoked      {{.Int}} NOT NULL DEFAULT 0
) {{.Strict}};

CREATE INDEX certificates_revoked ON certificates (valid_before) WHERE revoked > 0;

{{refuse "certificates" "UPDATE" `NOT (
	NEW.serial = OLD.serial AND NEW.profile = OLD.profile AND NEW.subject = OLD.subject
	AND NEW.key_print = OLD.key_print AND NEW.valid_after = OLD.valid_after
	AND NEW.valid_before = OLD.valid_before AND NEW.reserved = OLD.reserved
	AND (OLD.certificate IS NULL OR NEW.certificate IS NOT DISTINCT FROM OLD.certificate)
	AND (OLD.revoked = 0 OR NEW.revoked = OLD.revoked))` "a certificate is completed once and revoked once"}}
{{refuse "certificates" "DELETE" `TRUE` "certificates are kept"}}

CREATE TABLE tokens (
	id      TEXT PRIMARY KEY,
	secret  {{.Bytes}} NOT NULL UNIQUE CHECK (length(secret) = 32), -- SHA-256
	part    TEXT NOT NULL CHECK (part IN ('agent', 'proxy')),
	names   TEXT NOT NULL, -- JSON array of patterns
	labels  TEXT NOT NULL, -- JSON object
	uses    {{.Int}} NOT NULL,
	used    {{.Int}} NOT NULL CHECK (used >= 0 AND used <= uses),
	seconds {{.Int}} NOT NULL,
	expires {{.Int}} NOT NULL,
	author  TEXT NOT NULL
) {{.Strict}};

CREATE TABLE nodes (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE,
	addr       TEXT NOT NULL,
	names      TEXT NOT NULL, -- JSON array
	labels     TEXT NOT NULL, -- JSON object
	agent      {{.Bool}} NOT NULL,
	host_keys  TEXT NOT NULL, -- JSON array
	strict     {{.Bool}} NOT NULL,
	strict_on  {{.Bool}} NOT NULL,
	sshd       TEXT NOT NULL,
	seen       {{.Int}} NOT NULL,
	proven     {{.Int}} NOT NULL,
	drift      TEXT NOT NULL, -- JSON array
	cert_until {{.Int}} NOT NULL,
	pin        {{.Bytes}} UNIQUE CHECK (length(pin) = 32), -- SHA-256; NULL without an agent
	token      TEXT NOT NULL,
	problems   TEXT NOT NULL  -- JSON array
) {{.Strict}};

CREATE TABLE proxies (
	name     TEXT PRIMARY KEY,
	addr     TEXT NOT NULL,
	egress   TEXT NOT NULL, -- JSON array
	pin      {{.Bytes}} NOT NULL UNIQUE CHECK (length(pin) = 32), -- SHA-256
	host_key TEXT NOT NULL,
	seen     {{.Int}} NOT NULL
) {{.Strict}};

-- sessions is evidence: a row may be ended once, and nothing else.
CREATE TABLE sessions (
	id           TEXT PRIMARY KEY,
	identity     TEXT NOT NULL,
	login        TEXT NOT NULL,
	node         TEXT NOT NULL, -- its name then
	node_id      TEXT NOT NULL,
	proxy        TEXT NOT NULL,
	client       TEXT NOT NULL,
	way          TEXT NOT NULL,
	role         TEXT NOT NULL,
	revision     {{.Int}} NOT NULL,
	login_serial {{.Int}} NOT NULL,
	serial       {{.Int}} NOT NULL UNIQUE REFERENCES certificates (serial),
	started      {{.Int}} NOT NULL,
	ended        {{.Int}} NOT NULL DEFAULT 0,
	ended_as     TEXT NOT NULL DEFAULT '',
	accepted     {{.Bool}} NOT NULL DEFAULT FALSE, -- the node's sshd took the certificate
	bytes        {{.Int}} NOT NULL DEFAULT 0
) {{.Strict}};

CREATE INDEX sessions_started ON sessions (started, serial);
CREATE INDEX sessions_identity ON sessions (identity, started, serial);
CREATE INDEX sessions_node ON sessions (node, started, serial);
CREATE INDEX sessions_live ON sessions (proxy, started, serial) WHERE ended = 0;

{{refuse "sessions" "UPDATE" `NOT (OLD.ended = 0 AND NEW.ended > 0
	AND NEW.id = OLD.id AND NEW.identity = OLD.identity AND NEW.login = OLD.login
	AND NEW.node = OLD.node AND NEW.node_id = OLD.node_id AND NEW.proxy = OLD.proxy
	AND NEW.client = OLD.client AND NEW.way = OLD.way AND NEW.role = OLD.role
	AND NEW.revision = OLD.revision AND NEW.login_serial = OLD.login_serial
	AND NEW.serial = OLD.serial AND NEW.started = OLD.started)` "a session is ended once"}}
{{refuse "sessions" "DELETE" `TRUE` "sessions are kept"}}

-- policies holds every revision that was ever applied.
CREATE TABLE policies (
	revision {{.Int}} PRIMARY KEY CHECK (revision > 0),
	author   TEXT NOT NULL,
	applied  {{.Int}} NOT NULL,
	files    TEXT NOT NULL -- JSON object, name to YAML text
) {{.Strict}};

{{refuse "policies" "UPDATE" `TRUE` "a revision never changes"}}
{{refuse "policies" "DELETE" `TRUE` "revisions are kept"}}
