-- Bytes of some columns of the examples: what one pass over them reads.
-- grain: one row in all
-- inputs: the view column_chunks
-- parameters: $columns, list of stored columns
-- output: bytes, uncompressed_bytes (int64)
-- order: none, a single row
SELECT
    CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes,
    CAST(coalesce(sum(uncompressed_bytes), 0) AS BIGINT) AS uncompressed_bytes
FROM column_chunks
WHERE tier = 'examples' AND list_contains($columns, column_name)
