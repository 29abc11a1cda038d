-- A text's float, NULL where the text is none; for a column known to be floats.
-- grain: one macro
-- inputs: none
-- parameters: none; `value` is a VARCHAR; a number too big for a float is none
-- output: macro as_number(value) -> DOUBLE
-- order: none
CREATE TEMP MACRO as_number(value) AS
    CASE
        WHEN regexp_full_match(value, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?')
        THEN CASE WHEN isfinite(TRY_CAST(value AS DOUBLE)) THEN TRY_CAST(value AS DOUBLE) END
        WHEN regexp_full_match(value, '(?i)[+-]?(nan|inf|infinity)')
        THEN TRY_CAST(value AS DOUBLE)
    END;
