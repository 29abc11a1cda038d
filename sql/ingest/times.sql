-- The instants that some texts stand for.
-- grain: one row per text
-- inputs: texts(value VARCHAR), registered by the caller
-- parameters: none
-- output: time TIMESTAMPTZ, microseconds; NULL where the text is no ISO 8601 date or time
-- order: as given
SELECT as_time(value) AS time
FROM texts;
