//! What holds of the tables after every commit, whatever was done.

use std::path::Path;

use rusqlite::Connection;

/// Each query finds what contradicts the sentence beside it.
const CONTRADICTIONS: [(&str, &str); 10] = [
    (
        "a message is in exactly one place",
        "SELECT message.seq FROM message
         LEFT JOIN (
             SELECT seq FROM ready
             UNION ALL SELECT seq FROM parked
             UNION ALL SELECT seq FROM in_flight
             UNION ALL SELECT seq FROM dead
         ) AS place USING (seq)
         GROUP BY message.seq HAVING count(place.seq) <> 1",
    ),
    (
        "a place holds a message that is there, of the queue that it says",
        "SELECT place.seq FROM (
             SELECT seq, queue FROM ready
             UNION ALL SELECT seq, queue FROM parked
             UNION ALL SELECT seq, queue FROM in_flight
             UNION ALL SELECT seq, queue FROM dead
         ) AS place
         LEFT JOIN message ON message.seq = place.seq AND message.queue = place.queue
         WHERE message.seq IS NULL",
    ),
    (
        "the counts of a queue are those of its tables",
        "SELECT id FROM queue WHERE (ready, parked, in_flight, dead) <> (
             (SELECT count(*) FROM ready WHERE queue = queue.id),
             (SELECT count(*) FROM parked WHERE queue = queue.id),
             (SELECT count(*) FROM in_flight WHERE queue = queue.id),
             (SELECT count(*) FROM dead WHERE queue = queue.id)
         )",
    ),
    (
        "what is in flight has a holder",
        "SELECT seq FROM in_flight WHERE consumer NOT IN (SELECT id FROM consumer)",
    ),
    (
        "no number lies beyond the sequence",
        "SELECT seq FROM (
             SELECT seq FROM message UNION ALL SELECT seq FROM result
             UNION ALL SELECT id FROM consumer UNION ALL SELECT fence FROM fact WHERE fence NOT NULL
             UNION ALL SELECT last FROM log UNION ALL SELECT seq FROM notice
         ) WHERE seq >= (SELECT next FROM sequence)",
    ),
    (
        "an entry is of a log that knows its last number",
        "SELECT number FROM entry LEFT JOIN log ON log.id = entry.log
         WHERE log.id IS NULL OR number > log.last",
    ),
    (
        "notices are counted one by one",
        "SELECT 1 WHERE (SELECT max(nth) - min(nth) + 1 FROM notice)
         <> (SELECT count(DISTINCT nth) FROM notice)",
    ),
    (
        "a chord that is not finished counts its parts, and one that is has none",
        "SELECT id FROM chord WHERE done <> (SELECT count(*) FROM part WHERE chord = chord.id)",
    ),
    (
        "a chord can be taken when it is complete",
        "SELECT id FROM chord
         WHERE (free_ms IS NOT NULL) <> (NOT finished AND size IS NOT NULL AND size + grown = done)",
    ),
    (
        "a part, and what is to be done, is of a chord that is there",
        "SELECT chord FROM (SELECT chord FROM part UNION SELECT chord FROM chord_body)
         WHERE chord NOT IN (SELECT id FROM chord)",
    ),
];

pub(crate) fn assert_sound(path: &Path) {
    let conn = Connection::open(path).expect("open");
    conn.busy_timeout(std::time::Duration::from_secs(30))
        .expect("busy timeout");
    // One view of all tables: threads of the store may still be at work.
    let tx = conn.unchecked_transaction().expect("begin");
    for (sentence, query) in CONTRADICTIONS {
        let found: Vec<i64> = tx
            .prepare(query)
            .expect("the tables are as the query has them")
            .query_map([], |row| row.get(0))
            .expect("query")
            .collect::<rusqlite::Result<_>>()
            .expect("rows");
        assert!(found.is_empty(), "{sentence}: not so for {found:?}");
    }
    let integrity: String = tx
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("integrity check");
    assert_eq!(integrity, "ok");
}
