-- Which value of a column does not fit the type that was found for it.
-- grain: one row
-- inputs: {scan}, a statement of this folder that gives c0, c1, ...
-- parameters: none; {value} is a column, {given} and {fits} are conditions on it
-- output: misfits BIGINT: rows with a value that does not fit; row BIGINT: the first of them, from 1;
--         value VARCHAR: what stands there
-- order: none
SELECT count(*) AS misfits, min(row) AS row, arg_min(value, row) AS value
FROM (
    SELECT row_number() OVER () AS row, CAST({value} AS VARCHAR) AS value, {given} AND NOT {fits} AS wrong
    FROM ({scan})
)
WHERE wrong;
