-- A text's truth value, NULL where the text is none.
-- grain: one macro
-- inputs: none
-- parameters: none; `value` is a VARCHAR
-- output: macro as_flag(value) -> BOOLEAN
-- order: none
CREATE TEMP MACRO as_flag(value) AS
    CASE lower(value) WHEN 'true' THEN true WHEN 'false' THEN false WHEN '1' THEN true WHEN '0' THEN false END;
