-- Columns of a whole sorted run: its rows are the rows that placed pointers count.
-- grain: one row per event
-- inputs: {events}, the events of the run, none left out; {columns}, the columns to read
-- parameters: none
-- output: {columns}
-- order: as in the file, in its bands
SELECT {columns}
FROM ({events})
