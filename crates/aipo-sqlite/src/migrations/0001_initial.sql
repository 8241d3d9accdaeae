-- The first schema. Runs in one transaction with the change of user_version.
--
-- A message's row never moves while it waits and runs; where the message *is* says the one table
-- among ready, parked, in_flight and dead that holds its seq. Those rows are small, so a fetch
-- rewrites a few pages and not the messages themselves.

-- The next number to give out: for messages, results, consumers and fences alike. A number is never
-- given twice, not even after everything was deleted, so an old delivery tag can't name a new message.
CREATE TABLE sequence (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    next INTEGER NOT NULL
) STRICT;
INSERT INTO sequence (only, next) VALUES (1, 1);

-- The counts are kept by every transaction that moves a message, so that a look at the queues costs
-- the same whether ten messages wait or ten million.
CREATE TABLE queue (
    id        INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE,
    ready     INTEGER NOT NULL DEFAULT 0,
    parked    INTEGER NOT NULL DEFAULT 0,
    in_flight INTEGER NOT NULL DEFAULT 0,
    dead      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- seq is the place in line: within a priority, smaller comes first. due_ms is set for a message that
-- was published to be parked, and stays. deliveries is how often it was started before it last waited.
CREATE TABLE message (
    seq        INTEGER PRIMARY KEY,
    queue      INTEGER NOT NULL,
    priority   INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    due_ms     INTEGER,
    task_id    TEXT    NOT NULL,
    headers    BLOB    NOT NULL,
    properties TEXT    NOT NULL,
    body       BLOB    NOT NULL
) STRICT;
CREATE INDEX message_task ON message (task_id);

CREATE TABLE ready (
    queue    INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (queue, priority, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE parked (
    queue    INTEGER NOT NULL,
    due_ms   INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    PRIMARY KEY (queue, due_ms, seq)
) STRICT, WITHOUT ROWID;

-- epoch tells this delivery from an earlier one of the same message to the same consumer. deliveries
-- and started are those of the present delivery.
CREATE TABLE in_flight (
    consumer   INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    queue      INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    started    INTEGER NOT NULL,
    PRIMARY KEY (consumer, seq)
) STRICT, WITHOUT ROWID;

-- A message takes a new seq when it dies, so seq is also the order of dying.
CREATE TABLE dead (
    seq     INTEGER PRIMARY KEY,
    queue   INTEGER NOT NULL,
    died_ms INTEGER NOT NULL,
    reason  TEXT    NOT NULL
) STRICT;
CREATE INDEX dead_queue ON dead (queue, seq);

-- One lease for all that a consumer has in flight. They are few, so who has died is found by looking
-- at all of them.
CREATE TABLE consumer (
    id             INTEGER PRIMARY KEY,
    name           TEXT    NOT NULL,
    lease_until_ms INTEGER NOT NULL
) STRICT;

-- A result takes a new seq each time it is stored, so that what is new since a given seq is one
-- range: this is how a process finds what others stored.
CREATE TABLE result (
    seq        INTEGER PRIMARY KEY,
    task_id    TEXT    NOT NULL UNIQUE,
    status     TEXT    NOT NULL,
    expires_ms INTEGER,
    meta       BLOB    NOT NULL
) STRICT;
CREATE INDEX result_expiry ON result (expires_ms) WHERE expires_ms IS NOT NULL;

-- fence is set while the key is claimed, and null for a fact that was only put.
CREATE TABLE fact (
    key        TEXT PRIMARY KEY,
    fence      INTEGER,
    expires_ms INTEGER,
    value      BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX fact_expiry ON fact (expires_ms) WHERE expires_ms IS NOT NULL;
