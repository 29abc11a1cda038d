-- The column chunks of the live data files: what one read of one column of one row group costs.
-- grain: one view; in it one row per file, row group and column
-- inputs: {listed}, tier, partition and file of each live file; {chunks}, what parquet_metadata tells
--   of these files
-- parameters: none
-- output: tier, partition as in files; row_group (0-based in its file); column_name (as stored, see
--   `uihlake info`); type, compression, encodings (of Parquet); rows of the row group, values in the
--   chunk, bytes (compressed, headers of pages included), uncompressed_bytes (int64); min and max
--   (text, null where not recorded); file
-- order: none
CREATE VIEW column_chunks AS
SELECT
    listed.tier,
    listed.partition,
    chunks.row_group_id AS row_group,
    regexp_replace(chunks.path_in_schema, ', list, element.*$', '') AS column_name,
    chunks.type,
    chunks.compression,
    chunks.encodings,
    chunks.row_group_num_rows AS rows,
    chunks.num_values AS "values",
    chunks.total_compressed_size AS bytes,
    chunks.total_uncompressed_size AS uncompressed_bytes,
    chunks.stats_min_value AS min,
    chunks.stats_max_value AS max,
    listed.file
FROM ({listed}) AS listed
JOIN ({chunks}) AS chunks ON chunks.file_name = listed.file
