-- The same as windows.sql for the requests of each day by themselves.
-- grain: one row per day of requests, groups together
-- inputs: fragments, the runs of consecutive rows that sequences consist of: grp (0-based place of the
--   group), day (of the request), start and stop (rows of the bucket's events, stop exclusive)
-- parameters: none
-- output: day (days since 1970); referenced, distinct_events (int64)
-- order: day
WITH placed AS (
    SELECT
        day,
        stop - start AS referenced,
        greatest(0, stop - greatest(start, coalesce(max(stop) OVER before, start))) AS first_seen
    FROM fragments
    WINDOW before AS (
        PARTITION BY grp, day ORDER BY start, stop ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)
SELECT
    day,
    CAST(sum(referenced) AS BIGINT) AS referenced,
    CAST(sum(first_seen) AS BIGINT) AS distinct_events
FROM placed
GROUP BY day
ORDER BY day;
