-- How many events each sequence of a bucket holds, and how many of them no earlier one held.
-- grain: one row per group and example
-- inputs: fragments, the runs of consecutive rows that sequences consist of: grp (0-based place of the
--   group), example (0-based place), day (of the request), start and stop (rows of the bucket's events,
--   stop exclusive)
-- parameters: none
-- output: grp; example; referenced; first_seen; first_that_day, as if its day were the only one (int64);
--   examples without events are left out
-- order: none
WITH placed AS (
    SELECT
        grp,
        example,
        start,
        stop,
        greatest(start, coalesce(max(stop) OVER before, start)) AS unseen,
        greatest(start, coalesce(max(stop) OVER before_that_day, start)) AS unseen_that_day
    FROM fragments
    WINDOW
        before AS (
            PARTITION BY grp ORDER BY start, stop, example
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ),
        before_that_day AS (
            PARTITION BY grp, day ORDER BY start, stop, example
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )
)
SELECT
    grp,
    example,
    CAST(sum(stop - start) AS BIGINT) AS referenced,
    CAST(sum(greatest(0, stop - unseen)) AS BIGINT) AS first_seen,
    CAST(sum(greatest(0, stop - unseen_that_day)) AS BIGINT) AS first_that_day
FROM placed
GROUP BY grp, example;
