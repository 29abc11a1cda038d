-- Examples that meet a condition, in the order they are rebuilt and written.
-- grain: one row per such example
-- inputs: keys, a registered table of _row, the keys, lake_version, and what {where} names; {where},
--   a condition on the examples
-- parameters: $newest, newest lake version a pointer may pin
-- output: _row
-- order: _bucket, user_id, request_ts, example_id
SELECT _row
FROM keys
WHERE lake_version <= $newest AND ({where})
ORDER BY _bucket, user_id, request_ts, example_id;
