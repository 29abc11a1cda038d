-- What the footers tell where there is no file yet: the columns, and no row.
-- grain: no row
-- inputs: none
-- parameters: none
-- output: the columns of parquet_file_metadata and parquet_metadata that the views use
-- order: none
SELECT
    '' AS file_name,
    0 AS num_rows,
    0 AS num_row_groups,
    0 AS file_size_bytes,
    0 AS footer_size,
    0 AS row_group_id,
    0 AS row_group_num_rows,
    '' AS path_in_schema,
    '' AS type,
    '' AS compression,
    '' AS encodings,
    0 AS num_values,
    '' AS stats_min_value,
    '' AS stats_max_value,
    0 AS total_compressed_size,
    0 AS total_uncompressed_size
WHERE false
