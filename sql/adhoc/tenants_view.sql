-- The tenants that were named, one row per group.
-- grain: one view; in it one row per group of a tenant
-- inputs: {tenants}, {groups}, {traits}, {lengths}, {conditions}, {windows} and {lags}, lists of one length
-- parameters: none
-- output: tenant, group_name; traits (list); max_len (null: no limit); condition (null: every event);
--   window_us and lag_us (int64, microseconds; window null: the whole history)
-- order: as named
CREATE VIEW tenants AS
SELECT
    unnest(CAST({tenants} AS VARCHAR[])) AS tenant,
    unnest(CAST({groups} AS VARCHAR[])) AS group_name,
    unnest(CAST({traits} AS VARCHAR[][])) AS traits,
    unnest(CAST({lengths} AS BIGINT[])) AS max_len,
    unnest(CAST({conditions} AS VARCHAR[])) AS condition,
    unnest(CAST({windows} AS BIGINT[])) AS window_us,
    unnest(CAST({lags} AS BIGINT[])) AS lag_us
