-- Bytes of some columns of a Parquet file of fat rows: what one pass over them reads.
-- grain: one row in all
-- inputs: $file; a DuckDB session that may read it
-- parameters: $file, its path; $columns, list of columns, those of a struct as 'group, trait'
-- output: bytes, uncompressed_bytes (int64)
-- order: none, a single row
SELECT
    CAST(coalesce(sum(total_compressed_size), 0) AS BIGINT) AS bytes,
    CAST(coalesce(sum(total_uncompressed_size), 0) AS BIGINT) AS uncompressed_bytes
FROM parquet_metadata($file)
WHERE list_contains($columns, regexp_replace(path_in_schema, ', list, element.*$', ''))
