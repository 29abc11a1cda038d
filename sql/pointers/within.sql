-- The condition that examples are of some logs.
-- grain: none, a condition
-- inputs: {after} and {through}: the log versions between which, the first of them excluded
-- parameters: none
-- output: none
-- order: none
log_version > {after} AND log_version <= {through}
