-- Examples of one bucket, in the order they are rebuilt and written.
-- grain: one row per example
-- inputs: {examples}, the stored examples; {where}, a condition on them; {columns}, what to read
-- parameters: $bucket, the bucket of the users; $newest, newest lake version a pointer may pin
-- output: {columns}
-- order: user_id, request_ts, example_id
SELECT {columns}
FROM ({examples})
WHERE _bucket = $bucket AND lake_version <= $newest AND ({where})
ORDER BY user_id, request_ts, example_id;
