-- Reads every value of one data file, to find out whether that is possible.
-- grain: one row
-- inputs: {file}, a Parquet file
-- parameters: none
-- output: the largest value of each column, as text
-- order: none
SELECT max(CAST(COLUMNS(*) AS VARCHAR))
FROM read_parquet({file});
