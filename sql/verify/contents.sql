-- Traits of one bucket's events beside their stored fingerprint.
-- grain: one row per event
-- inputs: {history}, the stored events of the bucket; {columns}, the traits, each after a comma
-- parameters: none
-- output: _fingerprint, the traits
-- order: none
SELECT _fingerprint{columns}
FROM ({history});
