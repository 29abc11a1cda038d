-- Reads every value of one data file, as scans in SQL read it, to find out whether that is possible.
-- That reader refuses some page headers which the one that checks pages does not look at. A hash,
--   because the largest value may be known from the footer alone.
-- grain: one row
-- inputs: {file}, a Parquet file
-- parameters: none
-- output: rows, those of the file
-- order: none
SELECT count(*) FILTER (hash(_file) <> 0) AS rows
FROM read_parquet({file}, hive_partitioning => false) AS _file;
