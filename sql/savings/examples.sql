-- How many examples there are and of how many users.
-- grain: one row in all
-- inputs: the view examples
-- parameters: none
-- output: examples, users (int64)
-- order: none, a single row
SELECT
    count(*) AS examples,
    count(DISTINCT user_id) AS users
FROM examples
