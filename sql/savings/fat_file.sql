-- Size of a Parquet file of fat rows.
-- grain: one row in all
-- inputs: $file; a DuckDB session that may read it
-- parameters: $file, its path
-- output: bytes (int64)
-- order: none, a single row
SELECT CAST(sum(file_size_bytes) AS BIGINT) AS bytes
FROM parquet_file_metadata($file)
