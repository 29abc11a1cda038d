-- Condition of an event inside the retention window, for events.sql.
-- grain: none, a condition
-- inputs: {cutoff}, the first time that is kept, in microseconds since the epoch
-- parameters: none
-- output: none
-- order: none
event_ts >= make_timestamptz({cutoff})
