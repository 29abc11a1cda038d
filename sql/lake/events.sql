-- Events as a user sees them, over both tiers.
-- grain: one row per event
-- inputs: {history}, the stored events of both tiers; {traits}, the trait columns, each with a
--   comma before it; {hidden}, further stored columns in the same form (none in the public view);
--   {kept}, the condition of an event that retention has left
-- parameters: none
-- output: user_id, event_ts and arrival_ts (UTC, microseconds), lake_version, seq (int64; lake
--   version in the high 27 bits, order within its append below), the traits
-- order: none
SELECT
    user_id,
    event_ts,
    make_timestamptz(epoch_us(event_ts) + _delay) AS arrival_ts,
    lake_version,
    (lake_version << 36) | _tie AS seq{traits}{hidden}
FROM ({history})
WHERE {kept}
