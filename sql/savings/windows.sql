-- How many events each sequence of a bucket holds, and how many of them no earlier one held.
-- grain: one row per group and example
-- inputs: fragments, the runs of consecutive rows that sequences consist of: grp (0-based place of the
--   group), example (0-based place), start and stop (rows of the bucket's events, stop exclusive)
-- parameters: none
-- output: grp; example; referenced, first_seen (int64); examples without events are left out
-- order: none
WITH placed AS (
    SELECT
        grp,
        example,
        stop - start AS referenced,
        greatest(0, stop - greatest(start, coalesce(max(stop) OVER before, start))) AS first_seen
    FROM fragments
    WINDOW before AS (
        PARTITION BY grp ORDER BY start, stop, example
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)
SELECT
    grp,
    example,
    CAST(sum(referenced) AS BIGINT) AS referenced,
    CAST(sum(first_seen) AS BIGINT) AS first_seen
FROM placed
GROUP BY grp, example;
