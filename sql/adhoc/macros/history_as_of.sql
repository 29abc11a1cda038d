-- The history of one user as it was known at a time, as a macro.
-- grain: one macro; in it one row per event
-- inputs: the view events
-- parameters: _of_user, the user id; _at_time, a timestamp: events strictly before it that had arrived
--   by then
-- output: the columns of events
-- order: event_ts, seq; the order of the sequence
CREATE MACRO history_as_of(_of_user, _at_time) AS TABLE
SELECT *
FROM events
WHERE user_id = _of_user
    AND event_ts < CAST(_at_time AS TIMESTAMPTZ)
    AND arrival_ts <= CAST(_at_time AS TIMESTAMPTZ)
ORDER BY event_ts, seq
