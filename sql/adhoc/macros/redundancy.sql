-- How often fat rows of the newest so many events would copy each event, as a macro.
-- It rests on the lengths that the pointers carry: the n-th visible event of a user is taken for the
-- same event in all pointers of the user, which is exact where no event came late. `uihlake savings`
-- counts event by event, and knows conditions, windows and lags.
-- grain: one macro; in it one row per day of requests
-- inputs: the view examples
-- parameters: _max_len, the newest so many events, null for all of them
-- output: day (UTC); examples, referenced (events in all sequences of the day), distinct_events (different
--   ones among them; int64); redundancy (referenced / distinct_events)
-- order: day
CREATE MACRO redundancy(_max_len) AS TABLE
WITH windows AS (
    SELECT
        user_id,
        date_trunc('day', request_ts) AS day,
        length - least(length, greatest(0, coalesce(_max_len, length))) AS start,
        length AS stop
    FROM examples
),
fresh AS (
    SELECT
        day,
        stop - start AS referenced,
        greatest(0, stop - greatest(start, coalesce(max(stop) OVER before, start))) AS first_seen
    FROM windows
    WINDOW before AS (
        PARTITION BY user_id, day
        ORDER BY start, stop
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)
SELECT
    day,
    count(*) AS examples,
    CAST(sum(referenced) AS BIGINT) AS referenced,
    CAST(sum(first_seen) AS BIGINT) AS distinct_events,
    round(sum(referenced) / nullif(sum(first_seen), 0), 2) AS redundancy
FROM fresh
GROUP BY day
ORDER BY day
