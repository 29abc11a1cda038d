-- How many values of a file are of what kind, from which the types of its columns follow.
-- grain: one row for the whole file
-- inputs: {scan}, a statement of this folder that gives c0, c1, ...
-- parameters: none; {counts} lists count(*) FILTER (...) expressions
-- output: one BIGINT per expression
-- order: none
SELECT {counts}
FROM ({scan});
