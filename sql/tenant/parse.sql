-- Syntax tree of a statement by DuckDB's own parser. Nothing is bound or run.
-- grain: one row
-- inputs: none
-- parameters: $sql VARCHAR, the text of the statement
-- output: tree VARCHAR, JSON: {"error": false, "statements": [...]} or {"error": true, "error_message": ...}
-- order: none
SELECT json_serialize_sql($sql) AS tree
