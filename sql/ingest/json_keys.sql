-- The columns of a JSON lines file: every key that one of its objects has.
-- grain: one row per distinct key of the objects of the file
-- inputs: the JSON lines file {path}
-- parameters: none; {path} is a literal
-- output: key VARCHAR
-- order: first appearance, by object and then by place inside it
SELECT key
FROM (
    SELECT row, unnest(keys) AS key, unnest(range(len(keys))) AS place
    FROM (
        SELECT row_number() OVER () AS row, json_keys(json) AS keys
        FROM read_ndjson_objects({path}, hive_partitioning => false)
    )
)
GROUP BY key
ORDER BY min(struct_pack(row, place));
