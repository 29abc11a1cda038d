-- A view of events that is the same however a later append or seal moves them.
-- grain: one view; in it one row per event
-- inputs: {events}, events as a user sees them, from one snapshot
-- parameters: none; {name} is the quoted name of the view, {newest} the newest lake version it shows
-- output: the columns of {events}
-- order: none
CREATE VIEW {name} AS
SELECT *
FROM ({events})
WHERE lake_version <= {newest}
