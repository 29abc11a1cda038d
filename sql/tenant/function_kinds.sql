-- What DuckDB knows under a function name; only used to say why a function is refused.
-- grain: one row per kind of function of that name
-- inputs: duckdb_functions()
-- parameters: $name VARCHAR, any case
-- output: kind VARCHAR: scalar, aggregate, table, macro, table_macro, pragma
-- order: kind
SELECT DISTINCT function_type AS kind
FROM duckdb_functions()
WHERE lower(function_name) = lower($name)
ORDER BY kind
