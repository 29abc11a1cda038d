-- The live data files as a relation, for the views files and column_chunks.
-- grain: one row per file
-- inputs: {tiers}, {partitions} and {files}, three lists of one length
-- parameters: none
-- output: tier, partition (int64), file
-- order: none
SELECT
    unnest(CAST({tiers} AS VARCHAR[])) AS tier,
    unnest(CAST({partitions} AS BIGINT[])) AS partition,
    unnest(CAST({files} AS VARCHAR[])) AS file
