-- An index of the run: one row per stripe of $stripe consecutive events of one user.
-- grain: one row per stripe
-- inputs: run, the events in order with _row, their 0-based position
-- parameters: $stripe, events per stripe
-- output: user_id; event_ts and seq of the stripe's first event; first, the position of the user's
--   first event; start and stop, the positions of the stripe (stop exclusive)
-- order: none
WITH users AS (
    SELECT user_id, min(_row) AS first, max(_row) + 1 AS last
    FROM run
    GROUP BY user_id
)
SELECT
    run.user_id,
    run.event_ts,
    (run.lake_version << 36) | run._tie AS seq,
    users.first,
    run._row AS start,
    least(run._row + $stripe, users.last) AS stop
FROM run
JOIN users USING (user_id)
WHERE (run._row - users.first) % $stripe = 0;
