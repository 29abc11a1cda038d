-- How long the histories are: users by the power of two their number of events falls into.
-- grain: one row per power of two that occurs
-- inputs: the view events
-- parameters: none
-- output: at_least (events, a power of two, int64), users, events (int64)
-- order: at_least
WITH histories AS (
    SELECT count(*) AS events
    FROM events
    GROUP BY user_id
)
SELECT
    CAST(2 ** floor(log2(events)) AS BIGINT) AS at_least,
    count(*) AS users,
    CAST(sum(events) AS BIGINT) AS events
FROM histories
GROUP BY at_least
ORDER BY at_least
