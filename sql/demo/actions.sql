-- What the users of the demonstration did, most frequent first.
-- grain: one row per action
-- inputs: the view events
-- parameters: none
-- output: action; events and users (int64)
-- order: events, descending
SELECT action, count(*) AS events,
    count(DISTINCT user_id) AS users
FROM events GROUP BY action ORDER BY events DESC;
