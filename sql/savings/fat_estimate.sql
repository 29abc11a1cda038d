-- Bytes of some columns of fat rows, estimated from sampled row groups of one Parquet file.
-- A ratio estimator: bytes per unit of weight in the sample, times the weight of everything. The
-- row groups are a simple random sample of all the row groups the whole file would have; the
-- standard error is the jackknife's (each of them left out once), with the correction for a finite
-- population.
-- grain: one row in all
-- inputs: $file; a DuckDB session that may read it
-- parameters: $file, its path; $columns, list of columns, those of a struct as 'group, trait';
--   $weights, list, of each sampled row group; $total, weight of all row groups; $groups, how many
--   they are; $uncompressed, whether to estimate uncompressed bytes; $extra, bytes that are known and
--   come on top; $t, standard errors to either side
-- output: bytes; low and high, its bounds (double)
-- order: none, a single row
WITH sampled AS (
    SELECT
        $weights[CAST(row_group_id AS BIGINT) + 1] AS weight,
        sum(CASE WHEN $uncompressed THEN total_uncompressed_size ELSE total_compressed_size END)
            AS bytes
    FROM parquet_metadata($file)
    WHERE list_contains($columns, regexp_replace(path_in_schema, ', list, element.*$', ''))
    GROUP BY row_group_id
),
left_out AS (
    SELECT
        sum(bytes) OVER () / sum(weight) OVER () AS per_weight,
        (sum(bytes) OVER () - bytes) / (sum(weight) OVER () - weight) AS without_it
    FROM sampled
)
SELECT
    per_weight * $total + $extra AS bytes,
    bytes - $t * standard_error AS low,
    bytes + $t * standard_error AS high
FROM (
    SELECT
        any_value(per_weight) AS per_weight,
        $total * sqrt((1 - count(*) / $groups) * (count(*) - 1) * var_pop(without_it))
            AS standard_error
    FROM left_out
)
