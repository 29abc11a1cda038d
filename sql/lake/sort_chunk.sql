-- Orders one chunk of an append the way the mutable tier stores it.
-- grain: one row per event of the chunk
-- inputs: chunk, the events as given, with _bucket and _row, the row number as given (0-based)
-- parameters: none
-- output: the columns of chunk without _row
-- order: _bucket, user_id, event_ts, then as given
SELECT * EXCLUDE (_row)
FROM chunk
ORDER BY _bucket, user_id, event_ts, _row;
