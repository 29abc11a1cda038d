-- A relation without rows: what others are put beside takes its columns and their types from it, so
-- that a column is there which no file has.
-- grain: none
-- inputs: none; {columns}, each a null of its type
-- parameters: none
-- output: the columns of {columns}
-- order: none
SELECT {columns} WHERE false;
