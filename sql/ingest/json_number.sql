-- The text of a JSON number, NULL for any other JSON value.
-- grain: one macro
-- inputs: none
-- parameters: none; `value` is JSON
-- output: macro json_number(value) -> VARCHAR
-- order: none
CREATE TEMP MACRO json_number(value) AS
    CASE WHEN json_type(value) IN ('UBIGINT', 'BIGINT', 'HUGEINT', 'DOUBLE') THEN CAST(value AS JSON) ->> '$' END;
