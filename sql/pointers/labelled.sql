-- One file of examples with columns that became known later joined to it.
-- grain: one row per example of the file
-- inputs: {files}, list of one Parquet file; labels, the new columns by example_id; {columns}, the
--   columns to write, each from the file or, where the example is labelled, from labels
-- parameters: none
-- output: {columns}
-- order: as in the file
SELECT {columns}
FROM (SELECT *, file_row_number AS _place FROM read_parquet({files}, hive_partitioning => false)) AS stored
LEFT JOIN labels ON stored.example_id = labels.example_id
ORDER BY stored._place;
