-- Chords and their parts.

-- size is null until the chord is opened. free_ms is set while it is complete: from then on it can be taken. What is
-- large stands beside, since these rows are written with every part.
CREATE TABLE chord (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    size       INTEGER,
    grown      INTEGER NOT NULL DEFAULT 0,
    done       INTEGER NOT NULL DEFAULT 0,
    finished   INTEGER NOT NULL DEFAULT 0,
    free_ms    INTEGER,
    expires_ms INTEGER
) STRICT;
CREATE INDEX chord_free ON chord (free_ms) WHERE free_ms IS NOT NULL;
CREATE INDEX chord_expiry ON chord (expires_ms) WHERE expires_ms IS NOT NULL;

-- What is to be done when a chord is complete, and how its results are nested; the latter also of saved groups, which
-- have a row above as well.
CREATE TABLE chord_body (
    chord     INTEGER PRIMARY KEY,
    structure BLOB,
    body      BLOB
) STRICT;

-- A part without a place has the highest.
CREATE TABLE part (
    chord   INTEGER NOT NULL,
    place   INTEGER NOT NULL,
    task_id TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    PRIMARY KEY (chord, place, task_id)
) STRICT, WITHOUT ROWID;
