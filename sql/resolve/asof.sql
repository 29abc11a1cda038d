-- Where each pointer's history ends: the last stripe that begins strictly before the request.
-- The ASOF key is unique, (event_ts, seq), so that every join algorithm gives the same stripe; no
-- seq is below zero, so (request_ts, 0) lies before every event of the request's own instant.
-- grain: one row per pointer
-- inputs: pointers, with _pointer, its 0-based position; stripes
-- parameters: none
-- output: first, start, stop as in stripes; null where nothing of the user lies before the request
-- order: _pointer
SELECT stripes.first, stripes.start, stripes.stop
FROM pointers
ASOF LEFT JOIN stripes
    ON pointers.user_id = stripes.user_id
    AND row(pointers.request_ts, CAST(0 AS BIGINT)) > row(stripes.event_ts, stripes.seq)
ORDER BY pointers._pointer;
