-- The history of one user as it was known at a time, as a macro.
-- grain: one macro; in it one row per event
-- inputs: the view events
-- parameters: of_user, the user id; at_time, a timestamp: events strictly before it that had arrived
--   by then
-- output: the columns of events
-- order: event_ts, seq; the order of the sequence
CREATE MACRO history_as_of(of_user, at_time) AS TABLE
SELECT *
FROM events
WHERE user_id = of_user
    AND event_ts < CAST(at_time AS TIMESTAMPTZ)
    AND arrival_ts <= CAST(at_time AS TIMESTAMPTZ)
ORDER BY event_ts, seq
