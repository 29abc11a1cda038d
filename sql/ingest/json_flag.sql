-- The text of a JSON boolean, NULL for any other JSON value.
-- grain: one macro
-- inputs: none
-- parameters: none; `value` is JSON
-- output: macro json_flag(value) -> VARCHAR
-- order: none
CREATE TEMP MACRO json_flag(value) AS
    CASE WHEN json_type(value) = 'BOOLEAN' THEN CAST(value AS JSON) ->> '$' END;
