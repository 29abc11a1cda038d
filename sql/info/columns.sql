-- Bytes on disk of each column, from the footers of Parquet files; no data page is read.
-- grain: one row per column
-- inputs: $files as a parameter, the Parquet files; a stored column is flat or a list of values, so
--   that it has one leaf
-- parameters: $files, list of paths
-- output: name; bytes (int64), compressed
-- order: most bytes first, then name
SELECT
    regexp_replace(path_in_schema, ', list, element$', '') AS name,
    CAST(sum(total_compressed_size) AS BIGINT) AS bytes
FROM parquet_metadata($files)
GROUP BY name
ORDER BY bytes DESC, name;
