-- Rows of a data file of the immutable tier that do not come strictly after the row before them.
-- grain: one row
-- inputs: {files}, list of one Parquet file
-- parameters: none
-- output: rows, how many there are
-- order: none
SELECT count(*) AS rows
FROM (
    SELECT
        row(user_id, event_ts, lake_version, _tie) AS place,
        lag(row(user_id, event_ts, lake_version, _tie)) OVER (ORDER BY file_row_number) AS before
    FROM read_parquet({files})
)
WHERE before IS NOT NULL AND place <= before;
