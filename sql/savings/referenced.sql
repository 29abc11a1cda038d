-- What a group of a tenant asks for, by its definition: every pointer joined to every visible event.
-- The report counts the same with the engine that rebuilds; this is the query to check it with. On a
-- large lake, look at some users: it makes one row per event of each sequence.
-- grain: one row in all
-- inputs: the views events and examples; {where}, the group's condition
-- parameters: $max_len, newest events of a sequence; $window_us and $lag_us, microseconds
-- output: referenced, the events of all sequences; distinct_events, the different ones (int64)
-- order: none, a single row
WITH matching AS (
    SELECT user_id, event_ts, arrival_ts, lake_version, seq
    FROM events
    WHERE {where}
),
visible AS (
    SELECT matching.user_id, matching.event_ts, matching.seq
    FROM examples
    JOIN matching ON matching.user_id = examples.user_id
        AND matching.event_ts < examples.request_ts - to_microseconds($lag_us)
        AND matching.event_ts >= examples.request_ts - to_microseconds($window_us)
        AND (examples.as_of_ts IS NULL OR matching.arrival_ts <= examples.as_of_ts)
        AND matching.lake_version <= examples.lake_version
    QUALIFY row_number() OVER (
        PARTITION BY examples.example_id ORDER BY matching.event_ts DESC, matching.seq DESC
    ) <= $max_len
)
SELECT count(*) AS referenced, count(DISTINCT (user_id, event_ts, seq)) AS distinct_events
FROM visible
