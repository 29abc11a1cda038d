-- A text's float if no digit of it could matter as text, else NULL.
-- grain: one macro
-- inputs: macro as_number
-- parameters: none; `value` is a VARCHAR; 007.5 and whole numbers of more than 15 digits are no plain numbers
-- output: macro plain_number(value) -> DOUBLE
-- order: none
CREATE TEMP MACRO plain_number(value) AS
    CASE
        WHEN regexp_full_match(
            value,
            '-?(0|[1-9][0-9]*)[.][0-9]+([eE][+-]?[0-9]+)?|-?(0|[1-9][0-9]{0,14})([eE][+-]?[0-9]+)?|(?i)-?(nan|inf|infinity)'
        )
        THEN as_number(value)
    END;
