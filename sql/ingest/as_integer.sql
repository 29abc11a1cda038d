-- A text's integer, NULL where the text is none; for a column known to be integers.
-- grain: one macro
-- inputs: none
-- parameters: none; `value` is a VARCHAR; leading zeros and a fraction of zeros (17850.0) are let through
-- output: macro as_integer(value) -> BIGINT
-- order: none
CREATE TEMP MACRO as_integer(value) AS
    CASE
        WHEN regexp_full_match(value, '[+-]?[0-9]+([.]0*)?')
        THEN TRY_CAST(split_part(value, '.', 1) AS BIGINT)
    END;
