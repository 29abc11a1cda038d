-- What has been made in a session: the same as before, unless somebody made or replaced something.
-- grain: one row
-- inputs: the catalog of the session
-- parameters: none
-- output: newest_view (int64), the number that the newest view was given; tables (int64)
-- order: none
SELECT
    (SELECT max(view_oid) FROM duckdb_views()) AS newest_view,
    (SELECT count(*) FROM duckdb_tables()) AS tables;
