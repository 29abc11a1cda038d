-- The history that the pointer of one example stands for, as a macro.
-- grain: one macro; in it one row per visible event
-- inputs: the views events and examples
-- parameters: _of_example, the example id; _at_most, the newest so many events, null for all of them
-- output: the columns of events
-- order: event_ts, seq; the order of the sequence
CREATE MACRO sequence_of(_of_example, _at_most) AS TABLE
WITH pointer AS (
    SELECT user_id, request_ts, as_of_ts, lake_version
    FROM examples
    WHERE example_id = _of_example
),
visible AS (
    SELECT events.*
    FROM events
    JOIN pointer ON events.user_id = pointer.user_id
        AND events.event_ts < pointer.request_ts
        AND (pointer.as_of_ts IS NULL OR events.arrival_ts <= pointer.as_of_ts)
        AND events.lake_version <= pointer.lake_version
    QUALIFY _at_most IS NULL
        OR row_number() OVER (ORDER BY events.event_ts DESC, events.seq DESC) <= _at_most
)
SELECT *
FROM visible
ORDER BY event_ts, seq
