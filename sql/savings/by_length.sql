-- What sequences of the newest so many events, of any kind, would refer to. It rests on the lengths
-- that the pointers carry: the n-th visible event of a user is taken for the same event in all
-- pointers of the user, which is exact where no event came late.
-- grain: one row per length asked for
-- inputs: the view examples
-- parameters: $lengths, list of lengths
-- output: max_len, referenced, distinct_events (int64)
-- order: max_len
WITH windows AS (
    SELECT asked.max_len, user_id, greatest(0, length - asked.max_len) AS start, length AS stop
    FROM examples, (SELECT unnest(CAST($lengths AS BIGINT[])) AS max_len) AS asked
),
placed AS (
    SELECT
        max_len,
        stop - start AS referenced,
        greatest(0, stop - greatest(start, coalesce(max(stop) OVER before, start))) AS first_seen
    FROM windows
    WINDOW before AS (
        PARTITION BY max_len, user_id
        ORDER BY start, stop
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)
SELECT
    max_len,
    CAST(sum(referenced) AS BIGINT) AS referenced,
    CAST(sum(first_seen) AS BIGINT) AS distinct_events
FROM placed
GROUP BY max_len
ORDER BY max_len
