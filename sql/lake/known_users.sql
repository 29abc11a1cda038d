-- How many of the users to forget have rows in some files.
-- grain: one row
-- inputs: {files}, list of Parquet files; {gone}, the condition of a row to erase; gone, the users
--   to forget (user_id)
-- parameters: none
-- output: users
-- order: one row
SELECT count(DISTINCT user_id) AS users
FROM read_parquet({files}, union_by_name => true, hive_partitioning => false)
WHERE {gone};
