-- How many values at the head of a file are of what kind, which rules most types out.
-- grain: one row per column of the file, over its first {rows} rows; none where the file has none
-- inputs: {scan}, a statement of this folder that gives c0, c1, ...
-- parameters: none; {columns} lists some of its columns, {width} is how many; {counts} lists
--             count(*) FILTER (...) expressions on `value`
-- output: place BIGINT: position in {columns}, from 0; rows BIGINT; then one BIGINT per expression
-- order: place
SELECT place, count(*) AS rows, {counts}
FROM (
    SELECT unnest([{columns}]) AS value, unnest(range({width})) AS place
    FROM ({scan} LIMIT {rows})
)
GROUP BY place
ORDER BY place;
