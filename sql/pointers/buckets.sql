-- Examples of some buckets, in the order they are rebuilt and written.
-- grain: one row per example
-- inputs: {examples}, the stored examples; {where}, a condition on them; {columns}, what to read
-- parameters: $first and $last, the buckets of the users, inclusive; $newest, newest lake version a
--   pointer may pin
-- output: {columns}, _bucket
-- order: _bucket, user_id, request_ts, example_id
SELECT {columns}, _bucket
FROM ({examples})
WHERE _bucket BETWEEN $first AND $last AND lake_version <= $newest AND ({where})
ORDER BY _bucket, user_id, request_ts, example_id;
