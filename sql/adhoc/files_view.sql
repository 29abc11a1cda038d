-- The live data files of the lake with their sizes, from Parquet footers; no data page is read.
-- grain: one view; in it one row per file
-- inputs: {listed}, tier, partition and file of each live file; {footers}, what parquet_file_metadata
--   tells of these files
-- parameters: none
-- output: tier (uih, recent or examples); partition (int64: bucket, lake version or log version);
--   rows, row_groups, bytes (of the whole file), footer_bytes (int64); file (path)
-- order: none
CREATE VIEW files AS
SELECT
    listed.tier,
    listed.partition,
    footers.num_rows AS rows,
    footers.num_row_groups AS row_groups,
    CAST(footers.file_size_bytes AS BIGINT) AS bytes,
    CAST(footers.footer_size AS BIGINT) AS footer_bytes,
    listed.file
FROM ({listed}) AS listed
JOIN ({footers}) AS footers ON footers.file_name = listed.file
