-- grain: one row for the whole file, or for its first rows where {limit} says LIMIT n
-- inputs: {scan}, a statement of this folder that gives c0, c1, ...
-- parameters: none; {counts} lists count_if(...) expressions
-- output: rows BIGINT, then one BIGINT per expression
-- order: none
SELECT count(*) AS rows, {counts}
FROM ({scan} {limit});
