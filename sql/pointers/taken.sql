-- Example ids that may not be logged: given twice, or logged before.
-- grain: one row per refused id
-- inputs: {logged}, the stored examples; {new}, list of Parquet files about to be committed
-- parameters: none
-- output: example_id; logged, whether it was logged before; total, how many such ids there are
-- order: example_id; at most 5 rows
SELECT example_id, bool_or(logged) AS logged, count(*) OVER () AS total
FROM (
    SELECT example_id, false AS logged FROM read_parquet({new}, hive_partitioning => false)
    UNION ALL
    SELECT example_id, true AS logged FROM ({logged})
    WHERE example_id IN (SELECT example_id FROM read_parquet({new}, hive_partitioning => false))
)
GROUP BY example_id
HAVING count(*) > 1
ORDER BY example_id
LIMIT 5;
