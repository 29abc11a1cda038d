-- Bytes ever written to Delta tables: appends, and each rewriting by seal, compact and the like.
-- Each entry is read as one stream: as lines of several files, read by several threads, DuckDB 2.0
--   leaves out a last line that is cut off, one time in ten, and does not say so.
-- grain: one row in all
-- inputs: $logs, the files of their Delta logs; a DuckDB session that may read them
-- parameters: $logs, list of paths
-- output: bytes (int64)
-- order: none, a single row
SELECT CAST(coalesce(sum(add.size), 0) AS BIGINT) AS bytes
FROM read_json(
    $logs,
    format => 'unstructured',
    hive_partitioning => false,
    columns => {add: 'STRUCT(size BIGINT)'}
)
