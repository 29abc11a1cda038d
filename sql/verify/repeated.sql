-- Events of one bucket, over both tiers, that share their key with another.
-- grain: one row
-- inputs: {history}, the stored events of the bucket
-- parameters: none
-- output: rows, events beyond the first of each key
-- order: none
SELECT CAST(coalesce(sum(events - 1), 0) AS BIGINT) AS rows
FROM (
    SELECT count(*) AS events
    FROM ({history})
    GROUP BY user_id, event_ts, lake_version, _tie
    HAVING count(*) > 1
);
