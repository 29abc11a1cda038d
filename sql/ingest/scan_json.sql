-- The objects of a JSON lines file, as JSON.
-- grain: one row per object of the file; blank lines are none
-- inputs: the JSON lines file {path}
-- parameters: none; {path} is a literal, {columns} maps the keys to JSON, {renamed} lists them as c0, c1, ...
-- output: c0, c1, ...: JSON; NULL where the key is missing or its value is null
-- order: as in the file
SELECT {renamed}
FROM read_json(
    {path},
    format = 'newline_delimited',
    auto_detect = false,
    hive_partitioning = false,
    columns = {columns}
);
