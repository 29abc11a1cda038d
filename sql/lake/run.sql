-- Stored events of some buckets in the order in which sequences are cut from them.
-- grain: one row per event
-- inputs: {history}, both tiers as one relation; {columns}, the columns to read
-- parameters: $newest, the newest lake version to read
-- output: {columns}
-- order: user_id, event_ts, lake_version, _tie; that is (user_id, event_ts, seq)
SELECT {columns}
FROM ({history})
WHERE lake_version <= $newest
ORDER BY user_id, event_ts, lake_version, _tie;
