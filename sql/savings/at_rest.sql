-- Bytes of the live files of some tiers.
-- grain: one row in all
-- inputs: the view files
-- parameters: $tiers, list of tiers
-- output: bytes (int64)
-- order: none, a single row
SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes
FROM files
WHERE list_contains($tiers, tier)
