-- Order of the events in a run, as a clause for scan.sql.
-- grain: none, a clause
-- inputs: none
-- parameters: none
-- output: none
-- order: user_id, event_ts, seq
ORDER BY user_id, event_ts, seq
