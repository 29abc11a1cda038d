-- What each commit to the immutable tier did, from its Delta log.
-- Each entry is read as one stream: as lines of several files, read by several threads, DuckDB 2.0
--   leaves out a last line that is cut off, one time in ten, and does not say so.
-- grain: one table; in it one row per commit
-- inputs: {logs}, list of the files of the Delta log, one per commit
-- parameters: none
-- output: generation (int64, the Delta version); committed_at (UTC); sealed_version (int64, the lake
--   version up to which everything is sealed; null where the commit left it as it was); files_added,
--   files_removed, rows_added, bytes_added, bytes_removed (int64)
-- order: generation
CREATE TABLE generations AS
SELECT
    CAST(regexp_extract(filename, '(\d+)\.json$', 1) AS BIGINT) AS generation,
    to_timestamp(max(commitInfo.timestamp) / 1000.0) AS committed_at,
    max(txn.version) FILTER (txn.appId = 'uih_lake.sealed_version') AS sealed_version,
    count(add.path) AS files_added,
    count(remove.path) AS files_removed,
    coalesce(CAST(sum(CAST(add.stats->>'numRecords' AS BIGINT)) AS BIGINT), 0) AS rows_added,
    coalesce(CAST(sum(add.size) AS BIGINT), 0) AS bytes_added,
    coalesce(CAST(sum(remove.size) AS BIGINT), 0) AS bytes_removed
FROM read_json(
    {logs},
    format => 'unstructured',
    hive_partitioning => false,
    filename => true,
    columns => {{
        commitInfo: 'STRUCT("timestamp" BIGINT)',
        txn: 'STRUCT(appId VARCHAR, version BIGINT)',
        add: 'STRUCT(path VARCHAR, size BIGINT, stats VARCHAR)',
        remove: 'STRUCT(path VARCHAR, size BIGINT)'
    }}
)
GROUP BY generation
ORDER BY generation
