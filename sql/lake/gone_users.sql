-- Condition of a row that belongs to a forgotten user, for erased.sql and kept.sql.
-- grain: none, a condition
-- inputs: gone, the users to forget (user_id)
-- parameters: none
-- output: none
-- order: none
user_id IN (SELECT user_id FROM gone)
