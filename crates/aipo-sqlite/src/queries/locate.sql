-- Where the message of a task is; the newest living one if there are several, else the newest dead.
-- Input: ?1 task id. Output: queue, due time while parked, holder's name while in flight, whether dead.
-- Changes nothing.
SELECT
    queue.name,
    parked.due_ms,
    (
        -- Through the consumers, which are few: what is in flight is ordered by holder.
        SELECT consumer.name
        FROM consumer CROSS JOIN in_flight
            ON in_flight.consumer = consumer.id AND in_flight.seq = message.seq
    ) AS holder,
    dead.seq IS NOT NULL AS is_dead
FROM message
JOIN queue ON queue.id = message.queue
LEFT JOIN parked
    ON parked.queue = message.queue
    AND parked.due_ms = message.due_ms
    AND parked.seq = message.seq
LEFT JOIN dead ON dead.seq = message.seq
WHERE message.task_id = ?1
ORDER BY is_dead, message.seq DESC
LIMIT 1
