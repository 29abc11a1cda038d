-- Bytes of the history that one epoch of a tenant looks up: the chunks of the columns it needs, in the
-- row groups that hold events within reach. A bucket is read once per pass, also where two of them are
-- alike: passes of different conditions may read the same columns. A row group of the mutable tier
-- counts once for each bucket it spans. Where a bucket has few users in the examples, fewer row groups
-- may be touched than are counted here.
-- grain: one row in all
-- inputs: the views column_chunks and examples
-- parameters: $passes, list of {columns: list of stored columns, window_us (null: no bound), lag_us}
-- output: bytes, uncompressed_bytes, row_groups (int64), summed over the passes
-- order: none, a single row
WITH passes AS (
    SELECT unnest(CAST(
        $passes AS STRUCT(columns VARCHAR[], window_us BIGINT, lag_us BIGINT)[]
    )) AS _pass
),
requested AS (
    SELECT min(request_ts) AS earliest, max(request_ts) AS latest
    FROM examples
),
reach AS (
    SELECT
        _pass.columns AS columns,
        latest - to_microseconds(_pass.lag_us) AS until,
        earliest - to_microseconds(_pass.window_us) AS since
    FROM passes, requested
),
row_groups AS (
    SELECT
        file,
        row_group,
        min(CASE WHEN column_name = 'event_ts' THEN CAST(min AS TIMESTAMPTZ) END) AS first_event,
        min(CASE WHEN column_name = 'event_ts' THEN CAST(max AS TIMESTAMPTZ) END) AS last_event,
        coalesce(
            min(CASE WHEN column_name = '_bucket' THEN CAST(max AS BIGINT) - CAST(min AS BIGINT) END),
            0
        ) + 1 AS times
    FROM column_chunks
    WHERE tier <> 'examples' AND column_name IN ('event_ts', '_bucket')
    GROUP BY file, row_group
)
SELECT
    CAST(coalesce(sum(chunks.bytes * row_groups.times), 0) AS BIGINT) AS bytes,
    CAST(coalesce(sum(chunks.uncompressed_bytes * row_groups.times), 0) AS BIGINT)
        AS uncompressed_bytes,
    coalesce(CAST(
        sum(row_groups.times) FILTER (chunks.column_name = 'event_ts') AS BIGINT
    ), 0) AS row_groups
FROM reach
JOIN row_groups ON row_groups.first_event < reach.until
    AND (reach.since IS NULL OR row_groups.last_event >= reach.since)
JOIN column_chunks AS chunks USING (file, row_group)
WHERE list_contains(reach.columns, chunks.column_name)
