-- One row per import or export, as its user sees it.
CREATE TABLE task_notification (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('import', 'export')),
    model TEXT NOT NULL,
    format TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    error_message TEXT,
    record_count INTEGER NOT NULL DEFAULT 0,
    progress_done INTEGER NOT NULL DEFAULT 0,
    progress_total INTEGER NOT NULL DEFAULT 0,
    file TEXT,
    file_name TEXT,
    is_read INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    started_at_ms INTEGER,
    finished_at_ms INTEGER
) STRICT;
CREATE INDEX task_notification_by_user ON task_notification (user, id);
CREATE INDEX task_notification_by_file ON task_notification (file);
CREATE INDEX task_notification_unfinished ON task_notification (id)
    WHERE status IN ('pending', 'processing');

-- How far an import has come. A line's effect and the step of this cursor are one transaction,
-- which is what makes a killed import continue with the next line.
CREATE TABLE import_cursor (
    notification_id INTEGER PRIMARY KEY REFERENCES task_notification (id) ON DELETE CASCADE,
    records_total INTEGER NOT NULL,
    records_done INTEGER NOT NULL,
    imported INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    next_byte INTEGER NOT NULL,
    next_line INTEGER NOT NULL
) STRICT;

-- What was wrong with a line; a line with several bad fields has several rows.
CREATE TABLE import_rejection (
    id INTEGER PRIMARY KEY,
    notification_id INTEGER NOT NULL REFERENCES task_notification (id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX import_rejection_by_notification ON import_rejection (notification_id, id);
