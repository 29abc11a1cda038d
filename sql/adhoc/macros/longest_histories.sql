-- Who has the longest histories, as a macro.
-- grain: one macro; in it one row per user
-- inputs: the view events
-- parameters: _at_most, how many users
-- output: user_id, events (int64), first_event and last_event (UTC)
-- order: most events first, then user_id
CREATE MACRO longest_histories(_at_most) AS TABLE
SELECT
    user_id,
    count(*) AS events,
    min(event_ts) AS first_event,
    max(event_ts) AS last_event
FROM events
GROUP BY user_id
ORDER BY events DESC, user_id
LIMIT _at_most
