-- What the footers of Parquet files tell.
-- grain: one row per file, or per column chunk
-- inputs: {reader}, parquet_file_metadata or parquet_metadata; {files}, list of files
-- parameters: none
-- output: the columns of the reader
-- order: none
SELECT *
FROM {reader}({files})
