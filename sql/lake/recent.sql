-- Events of the mutable tier, as stored, with the lake version that is a partition value in Delta.
-- grain: one row per event
-- inputs: {files}, list of Parquet files of `recent`; {versions}, the lake version of each of them;
--   {first_bucket} and {last_bucket}, of the buckets to read, both included
-- parameters: none
-- output: the stored columns the files have, with lake_version (int64) and without _bucket
-- order: as in the files, each sorted by _bucket, user_id, event_ts, _tie
SELECT * EXCLUDE (_bucket), CAST({versions}[CAST(file_index AS BIGINT) + 1] AS BIGINT) AS lake_version
FROM read_parquet({files}, union_by_name => true, hive_partitioning => false)
WHERE _bucket BETWEEN {first_bucket} AND {last_bucket};
