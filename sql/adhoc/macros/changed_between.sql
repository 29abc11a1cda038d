-- What the appends after one lake version up to another brought in, as a macro.
-- grain: one macro; in it one row per event
-- inputs: the view events
-- parameters: _after_version, exclusive; _to_version, inclusive
-- output: the columns of events
-- order: lake_version, user_id, event_ts, seq
CREATE MACRO changed_between(_after_version, _to_version) AS TABLE
SELECT *
FROM events
WHERE lake_version > _after_version AND lake_version <= _to_version
ORDER BY lake_version, user_id, event_ts, seq
