-- The stretch of time an example falls into, as an expression for counts.sql.
-- grain: none, an expression
-- inputs: request_ts
-- parameters: $span, length of a stretch in microseconds
-- output: number of the stretch since the epoch, rounded down also before it
-- order: none
(epoch_us(request_ts) - ((epoch_us(request_ts) % $span) + $span) % $span) // $span
