-- Bytes of some columns of fat rows, estimated from sampled row groups of one Parquet file.
-- A ratio estimator: bytes per unit of weight in the sample, times the weight of everything. The
-- row groups are a simple random sample of all the row groups the whole file would have; the
-- standard error is that of a ratio, with the correction for a finite population.
-- grain: one row in all
-- inputs: $file; a DuckDB session that may read it
-- parameters: $file, its path; $columns, list of columns, those of a struct as 'group, trait';
--   $weights, list, of each sampled row group; $total, weight of all row groups; $groups, how many
--   they are; $uncompressed, whether to estimate uncompressed bytes
-- output: bytes, standard_error (double)
-- order: none, a single row
WITH sampled AS (
    SELECT
        $weights[CAST(row_group_id AS BIGINT) + 1] AS weight,
        coalesce(sum(CASE WHEN $uncompressed THEN total_uncompressed_size
            ELSE total_compressed_size END), 0) AS bytes
    FROM parquet_metadata($file)
    WHERE list_contains($columns, regexp_replace(path_in_schema, ', list, element.*$', ''))
    GROUP BY row_group_id
),
ratio AS (
    SELECT sum(bytes) / sum(weight) AS per_weight, avg(weight) AS weight, count(*) AS n
    FROM sampled
)
SELECT
    any_value(ratio.per_weight) * $total AS bytes,
    $total / any_value(ratio.weight) * sqrt(
        (1 - any_value(ratio.n) / $groups) / any_value(ratio.n)
        * sum((bytes - ratio.per_weight * sampled.weight) ** 2)
        / greatest(any_value(ratio.n) - 1, 1)
    ) AS standard_error
FROM sampled, ratio
