-- Where each pointer's history ends: the last stripe that begins strictly before the request.
-- The ASOF key is unique, no two stripes of a user begin at the same time, so that every join
-- algorithm gives the same stripe.
-- grain: one row per pointer; none where nothing of the user lies before the request
-- inputs: pointers, with _pointer, its 0-based position; stripes
-- parameters: none
-- output: _pointer; first, start, stop as in stripes
-- order: none
SELECT pointers._pointer, stripes.first, stripes.start, stripes.stop
FROM pointers
ASOF JOIN stripes
    ON pointers.user_id = stripes.user_id
    AND pointers.request_ts > stripes.event_ts;
