-- Where each pointer's history ends: the last stripe that begins strictly before the request.
-- A moment is user and time as one number, the users one after the other: a join by two columns
-- takes twice as long. The ASOF key is unique, no two stripes of a user begin at the same time, so
-- that every join algorithm gives the same stripe.
-- grain: one row per pointer; none where nothing of the user lies before the request
-- inputs: pointers, with _pointer, its 0-based position, _user, -1 where no stripe has that user,
--   and _moment, the request's; stripes of these users, with _stripe, its 0-based position, _user,
--   and _moment, that of its first event
-- parameters: none
-- output: _pointer, _stripe
-- order: none
SELECT pointers._pointer, stripes._stripe
FROM pointers
ASOF JOIN stripes
    ON pointers._moment > stripes._moment
WHERE pointers._user = stripes._user;
