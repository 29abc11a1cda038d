-- Events of the immutable tier, as stored.
-- grain: one row per event
-- inputs: {files}, list of Parquet files of `uih`
-- parameters: none
-- output: the stored columns the files have; _file_row, the 0-based row in its file
-- order: as in the files, each in a few bands of age, oldest first, and every band sorted by user_id,
--   event_ts, lake_version, _tie
SELECT *, file_row_number AS _file_row
FROM read_parquet({files}, union_by_name => true);
