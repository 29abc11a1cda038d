-- The records of a delimited text file, as text.
-- grain: one row per record of the file below its header
-- inputs: the delimited text file {path}
-- parameters: none; {path}, {delimiter} and {newline} are literals (a line end that is found out by the
--             parser may be one inside quotes, and then rows are lost); {columns} maps c0, c1, ... to
--             VARCHAR by position
-- output: c0, c1, ...: VARCHAR; NULL for an empty field, '' for an empty field in quotes
-- order: as in the file
SELECT *
FROM read_csv(
    {path},
    auto_detect = false,
    hive_partitioning = false,
    header = true,
    delim = {delimiter},
    new_line = {newline},
    quote = '"',
    escape = '"',
    nullstr = '',
    allow_quoted_nulls = false,
    null_padding = false,
    columns = {columns}
);
