-- The records of a file, typed.
-- grain: one row per record of the file
-- inputs: {scan}, a statement of this folder that gives c0, c1, ...
-- parameters: none; {values} lists typed expressions, one per column
-- output: one typed column per expression
-- order: as in the file
SELECT {values}
FROM ({scan});
