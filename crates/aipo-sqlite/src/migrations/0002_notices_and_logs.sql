-- Notices for the listeners of all processes, and logs.

-- What processes tell each other. Rows live shortly and are bounded in number and size; listeners remember
-- how far they have read. nth and bytes count what was told so far, this row included, so that the oldest
-- and the newest row together say how much there is.
CREATE TABLE notice (
    seq         INTEGER PRIMARY KEY,
    expires_ms  INTEGER NOT NULL,
    nth         INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    mailbox     INTEGER NOT NULL,
    exchange    TEXT    NOT NULL,
    routing_key TEXT    NOT NULL,
    headers     BLOB    NOT NULL,
    properties  TEXT    NOT NULL,
    body        BLOB    NOT NULL
) STRICT;

-- last is the number of the last entry there ever was, also when it has expired. Like queues, logs are few
-- and never deleted.
CREATE TABLE log (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE,
    last INTEGER NOT NULL
) STRICT;

-- number is from the sequence.
CREATE TABLE entry (
    log        INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    value      BLOB    NOT NULL,
    PRIMARY KEY (log, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_expiry ON entry (expires_ms);
