-- The content of a JSON string, NULL for any other JSON value.
-- grain: one macro
-- inputs: none
-- parameters: none; `value` is JSON
-- output: macro json_string(value) -> VARCHAR
-- order: none
CREATE TEMP MACRO json_string(value) AS
    CASE WHEN json_type(value) = 'VARCHAR' THEN CAST(value AS JSON) ->> '$' END;
