-- Columns as the loader gathers them: fixed width, without nulls, strings of small sets as codes.
-- grain: as the rows
-- inputs: {rows}, a statement with its own order; {columns}, one expression per column
-- parameters: those of the rows, and $words0, $words1, ..., lists of strings in order of code
-- output: {columns}
-- order: as the rows
SELECT {columns}
FROM ({rows});
