-- How many events there are and of how many users.
-- grain: one row in all
-- inputs: the view events
-- parameters: none
-- output: events, users (int64); days, from the first event to the last, 1 at least (double)
-- order: none, a single row
SELECT
    count(*) AS events,
    count(DISTINCT user_id) AS users,
    greatest(1.0, coalesce(epoch(max(event_ts) - min(event_ts)) / 86400, 1.0)) AS days
FROM events
