-- The rows of one file that stay.
-- grain: one row per row that stays
-- inputs: {files}, list of one Parquet file; {gone}, the condition of a row to erase; gone, the
--   users to forget, where the condition speaks of them
-- parameters: none
-- output: the columns of the file
-- order: as in the file
SELECT *
FROM read_parquet({files}, hive_partitioning => false)
WHERE NOT ({gone})
ORDER BY file_row_number;
