-- How many examples there are to go through.
-- grain: one row per slot and bucket that has any
-- inputs: {examples}, the stored examples; {where}, a condition on them; {slot}, the slot of each
-- parameters: $newest, newest lake version a pointer may pin, and those of the slot
-- output: slot (int64); bucket; examples (int64)
-- order: slot, bucket
SELECT slot, _bucket AS bucket, count(*) AS examples
FROM (
    SELECT CAST({slot} AS BIGINT) AS slot, _bucket
    FROM ({examples})
    WHERE lake_version <= $newest AND ({where})
)
GROUP BY slot, _bucket
ORDER BY slot, bucket;
