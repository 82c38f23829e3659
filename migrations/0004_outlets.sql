-- How far each outlet of the audit log has come. One CA at a time works an
-- outlet: the one whose lease has not ended.
CREATE TABLE outlets (
	name   TEXT PRIMARY KEY,
	next   {{.Int}} NOT NULL CHECK (next >= 0), -- index of the first event that was not delivered
	holder TEXT NOT NULL DEFAULT '',
	until  {{.Int}} NOT NULL DEFAULT 0          -- Unix microseconds
) {{.Strict}};

{{refuse "outlets" "UPDATE" `NEW.next < OLD.next` "an outlet never goes back"}}
