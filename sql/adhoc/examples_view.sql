-- The view of logged requests with their context and versioned pointers.
-- grain: one view; in it one row per example
-- inputs: {examples}, the stored examples; {columns}, their public columns; {newest}, the newest
--   lake version that a pointer may pin
-- parameters: none
-- output: {columns}
-- order: none
CREATE VIEW examples AS
SELECT {columns}
FROM ({examples})
WHERE lake_version <= {newest}
