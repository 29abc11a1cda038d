-- The condition that stored examples are of some logs, as rows of their files.
-- grain: a condition on one example
-- inputs: {after} and {through}: the log versions between which, the first of them excluded
-- parameters: none
-- output: a boolean
-- order: none
coalesce(_log_version, log_version) > {after} AND coalesce(_log_version, log_version) <= {through}
