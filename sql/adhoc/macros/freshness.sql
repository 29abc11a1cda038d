-- How fresh each tier is and how much waits to be sealed, as a macro.
-- grain: one macro; in it one row per tier, uih and recent
-- inputs: the views events and uih
-- parameters: none
-- output: tier; events (int64); first_version and last_version, the lake versions it holds; newest_event
--   and newest_arrival (UTC); longest_delay_s (seconds from event to arrival); nulls where it is empty
-- order: uih, then recent
CREATE MACRO freshness() AS TABLE
WITH sealed AS (
    SELECT max(lake_version) AS version
    FROM uih
),
placed AS (
    SELECT
        CASE WHEN lake_version <= sealed.version THEN 'uih' ELSE 'recent' END AS tier,
        lake_version,
        event_ts,
        arrival_ts
    FROM events, sealed
)
SELECT
    tiers.tier,
    count(placed.lake_version) AS events,
    min(placed.lake_version) AS first_version,
    max(placed.lake_version) AS last_version,
    max(placed.event_ts) AS newest_event,
    max(placed.arrival_ts) AS newest_arrival,
    epoch(max(placed.arrival_ts - placed.event_ts)) AS longest_delay_s
FROM (VALUES (0, 'uih'), (1, 'recent')) AS tiers(place, tier)
LEFT JOIN placed USING (tier)
GROUP BY tiers.place, tiers.tier
ORDER BY tiers.place
