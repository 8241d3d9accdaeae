-- Stores a result in place of the task's earlier one, unless that is a success and not expired
-- (Celery's update rule).
-- Input: ?1 seq, ?2 task id, ?3 status, ?4 expiry or null, ?5 meta, ?6 now.
-- Changes one row, or none.
INSERT INTO result (seq, task_id, status, expires_ms, meta)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (task_id) DO UPDATE
SET seq = excluded.seq,
    status = excluded.status,
    expires_ms = excluded.expires_ms,
    meta = excluded.meta
WHERE result.status <> 'SUCCESS' OR result.expires_ms <= ?6
