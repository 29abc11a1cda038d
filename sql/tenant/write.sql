-- The text of a syntax tree: the way back from tenant/parse.
-- grain: one row
-- inputs: none
-- parameters: $tree VARCHAR, JSON as tenant/parse gives it
-- output: sql VARCHAR, the statement as DuckDB writes it
-- order: none
SELECT json_deserialize_sql($tree::JSON) AS sql
