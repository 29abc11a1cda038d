-- Which files hold examples that are to be labelled.
-- grain: one row per such file
-- inputs: {files}, list of Parquet files of `examples`; labels, the new columns by example_id
-- parameters: none
-- output: file (0-based place in {files}), rows (how many of its examples are labelled)
-- order: file
SELECT CAST(file_index AS BIGINT) AS file, count(*) AS rows
FROM read_parquet({files}, union_by_name => true, hive_partitioning => false)
WHERE example_id IN (SELECT example_id FROM labels)
GROUP BY file_index
ORDER BY file;
