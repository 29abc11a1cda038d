-- Users of a bucket and the range of lake versions of its events.
-- grain: one row per user
-- inputs: {history}, the stored events of the bucket
-- parameters: none
-- output: user_id, oldest and newest lake version
-- order: none
SELECT user_id, min(lake_version) AS oldest, max(lake_version) AS newest
FROM ({history})
GROUP BY user_id;
