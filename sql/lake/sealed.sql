-- Events of the immutable tier, as stored.
-- grain: one row per event
-- inputs: {files}, list of Parquet files of `uih`
-- parameters: none
-- output: the stored columns the files have
-- order: as in the files, each in a few bands of age, oldest first, and every band sorted by user_id,
--   event_ts, lake_version, _tie
SELECT *
FROM read_parquet({files}, union_by_name => true, hive_partitioning => false);
