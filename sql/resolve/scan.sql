-- The events of one bucket that some sequence may need.
-- grain: one row per event
-- inputs: {events}, the events of the bucket; {columns}, the columns to read; {where}, the
--   group's condition; {users}, a condition on user_id; {order}, empty where the bucket is one
--   run, whose bands bring each user's rows in order
-- parameters: $newest, newest lake version any pointer pins; $since and $until, event times in
--   microseconds since the epoch, inclusive and exclusive
-- output: {columns}
-- order: user_id, event_ts, seq; that of the file where {order} is empty
SELECT {columns}
FROM ({events})
WHERE lake_version <= $newest
    AND event_ts >= make_timestamptz($since)
    AND event_ts < make_timestamptz($until)
    AND ({users})
    AND ({where})
{order}
