-- How many examples pin no later lake version than the one looked at.
-- grain: one row in all
-- inputs: {examples}, the stored examples with lake_version
-- parameters: $newest, newest lake version a pointer may pin
-- output: examples (int64)
-- order: none, a single row
SELECT count(*) AS examples
FROM ({examples})
WHERE lake_version <= $newest;
