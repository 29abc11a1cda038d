-- A text's integer if writing that integer gives the text back, else NULL.
-- grain: one macro
-- inputs: none
-- parameters: none; `value` is a VARCHAR; 007 and +7 are no plain integers: they may be identifiers
-- output: macro plain_integer(value) -> BIGINT
-- order: none
CREATE TEMP MACRO plain_integer(value) AS
    CASE WHEN regexp_full_match(value, '0|-?[1-9][0-9]*') THEN TRY_CAST(value AS BIGINT) END;
