-- A checked condition on one made-up event, so that its types, constants and casts fail at once.
-- grain: one row
-- inputs: the made-up event
-- parameters: none; {condition} is an expression from tenant/write, {event} a select list of every column
-- output: kept, the value of the condition; BOOLEAN if the condition is one
-- order: none
SELECT {condition} AS kept
FROM (SELECT {event}) AS probe
