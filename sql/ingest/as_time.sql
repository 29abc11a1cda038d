-- A text's instant, NULL where the text is no ISO 8601 date or time.
-- grain: one macro
-- inputs: none
-- parameters: none; `value` is a VARCHAR; a text without an offset is UTC
-- output: macro as_time(value) -> TIMESTAMPTZ, microseconds; digits beyond them are cut off
-- order: none
CREATE TEMP MACRO as_time(value) AS
    CASE
        WHEN regexp_full_match(
            value,
            '[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][01][0-9](:?[0-5][0-9])?)?)?'
        )
        THEN TRY_CAST(value AS TIMESTAMPTZ)
    END;
