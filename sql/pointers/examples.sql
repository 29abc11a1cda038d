-- Stored examples: requests with their context, labels and versioned pointers.
-- grain: one row per example
-- inputs: {files}, list of Parquet files of `examples`; {versions}, the newest log version of each;
--   {anchor}, a relation without rows that has all columns; {within}, a condition on log_version
-- parameters: none
-- output: example_id, the pointer columns, the context columns, log_version, and _bucket
-- order: none
SELECT *
FROM (
    SELECT * REPLACE (coalesce(_log_version, log_version) AS log_version)
    FROM (
        {anchor}
        UNION ALL BY NAME
        SELECT *, CAST({versions}[CAST(file_index AS BIGINT) + 1] AS BIGINT) AS log_version
        FROM read_parquet({files}, union_by_name => true, hive_partitioning => false)
    )
)
WHERE {within}
