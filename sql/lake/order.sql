-- The order in which stored events stand in a file: a permutation, so that only keys are sorted.
-- grain: one row per event
-- inputs: keys, with _bucket, user_id, event_ts, lake_version, _tie and _row, the 0-based place of
--   the event in the table that is to be ordered
-- parameters: none
-- output: _row
-- order: _bucket, user_id, event_ts, lake_version, _tie; that is bucket, user, then (event_ts, seq)
SELECT _row
FROM keys
ORDER BY _bucket, user_id, event_ts, lake_version, _tie;
