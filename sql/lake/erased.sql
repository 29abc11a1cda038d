-- Which files hold rows that are to go.
-- grain: one row per file with such rows
-- inputs: {files}, list of Parquet files; {gone}, the condition of a row to erase; gone, the users
--   to forget, where the condition speaks of them
-- parameters: none
-- output: file (0-based place in {files}), rows (how many of its rows are to go)
-- order: file
SELECT CAST(file_index AS BIGINT) AS file, count(*) AS rows
FROM read_parquet({files}, union_by_name => true, hive_partitioning => false)
WHERE {gone}
GROUP BY file_index
ORDER BY file;
