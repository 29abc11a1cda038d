-- Which rows of some row groups meet a group's condition. It is asked only of rows that a pointer
-- reaches: of another it may not make sense.
-- grain: one row per event
-- inputs: matched, the columns that the condition speaks of, and _reached (bool); {where}, the condition
-- parameters: none
-- output: meets (bool; null where it is not asked for, and where a condition is null)
-- order: that of the input
SELECT CASE WHEN _reached THEN ({where}) END AS meets
FROM matched;
