-- Facts about events: of both tiers, or of one.
-- grain: one row in all
-- inputs: {events}, events with user_id, event_ts and lake_version
-- parameters: $newest, newest lake version to count
-- output: events and users (int64), first_event and last_event (UTC, microseconds; null where
--   there is no event)
-- order: none, a single row
SELECT
    count(*) AS events,
    count(DISTINCT user_id) AS users,
    min(event_ts) AS first_event,
    max(event_ts) AS last_event
FROM ({events})
WHERE lake_version <= $newest;
