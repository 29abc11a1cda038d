-- Every value of one file, decoded as scans in SQL decode it.
-- That reader refuses some page headers which the one that checks pages does not look at.
-- grain: one row
-- inputs: {files}, list of one Parquet file
-- parameters: none
-- output: rows, those of the file
-- order: none
SELECT count(*) FILTER (hash(_file) <> 0) AS rows
FROM read_parquet({files}) AS _file;
