-- Reads every value of one data file, to find out whether that is possible.
-- grain: one row
-- inputs: {file}, a Parquet file
-- parameters: none
-- output: how many values each column has
-- order: none
SELECT count(COLUMNS(*))
FROM read_parquet({file});
