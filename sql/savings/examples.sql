-- How many examples there are and of how many users.
-- grain: one row in all
-- inputs: the view examples
-- parameters: none
-- output: examples, users (int64); days, from the first request to the last, 1 at least (double)
-- order: none, a single row
SELECT
    count(*) AS examples,
    count(DISTINCT user_id) AS users,
    greatest(1.0, coalesce(epoch(max(request_ts) - min(request_ts)) / 86400, 1.0)) AS days
FROM examples
