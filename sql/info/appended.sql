-- Times of the first and the last event in files, from their footers; no data page is read.
-- grain: one row in all
-- inputs: $files as a parameter, the Parquet files
-- parameters: $files, list of paths
-- output: first_event, last_event (timestamptz), null where the files hold no event
-- order: none, a single row
SELECT
    min(CAST(stats_min_value AS TIMESTAMPTZ)) AS first_event,
    max(CAST(stats_max_value AS TIMESTAMPTZ)) AS last_event
FROM parquet_metadata($files)
WHERE path_in_schema = 'event_ts';
