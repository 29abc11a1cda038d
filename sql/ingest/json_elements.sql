-- The elements of a JSON array, NULL for any other JSON value.
-- grain: one macro
-- inputs: none
-- parameters: none; `value` is JSON
-- output: macro json_elements(value) -> JSON[]; a JSON null among the elements is NULL
-- order: elements as written
CREATE TEMP MACRO json_elements(value) AS
    CASE WHEN json_type(value) = 'ARRAY' THEN CAST(value AS JSON[]) END;
