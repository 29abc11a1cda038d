-- Stored examples: requests with their context, labels and versioned pointers.
-- grain: one row per example
-- inputs: {files}, list of Parquet files of `examples`; {versions}, the log version of each
-- parameters: none
-- output: example_id, the pointer columns, the context columns, log_version, and _bucket
-- order: none
SELECT *, CAST({versions}[CAST(file_index AS BIGINT) + 1] AS BIGINT) AS log_version
FROM read_parquet({files}, union_by_name => true, hive_partitioning => false)
