#!lua flags=allow-oom
--
-- advance: records what became of a try to deliver an event of a sale to a webhook, and moves its position behind what is
-- done. A worker that has lost the lease changes nothing, nor does one whose position was changed by a replay.
--
-- KEYS[1] fs:{W}:positions  hash
-- KEYS[2] fs:{W}:retries  hash
-- KEYS[3] fs:{W}:deliveries  stream
-- KEYS[4] fs:{W}:lease  string
-- ARGV[1] position as the caller believes it to be
-- ARGV[2] position from now on
-- ARGV[3] owner of the lease
-- ARGV[4] sale
-- ARGV[5] what is tried again, as JSON; empty when nothing is
-- ARGV[6] the try, as JSON; empty for none
-- ARGV[7] tries that are kept
--
-- Returns outcome: 2 NOT_OURS (another has the lease, or nobody), 3 MOVED (the position is another one), 1 DONE

local POSITIONS, RETRIES, DELIVERIES, LEASE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local DONE, NOT_OURS, MOVED = 1, 2, 3

local before, after, sale = ARGV[1], ARGV[2], ARGV[4]
if redis.call('GET', LEASE) ~= ARGV[3] then
  return NOT_OURS
end
if (redis.call('HGET', POSITIONS, sale) or '0') ~= before then
  return MOVED
end
if after ~= before then
  redis.call('HSET', POSITIONS, sale, after)
end
if ARGV[5] == '' then
  redis.call('HDEL', RETRIES, sale)
else
  redis.call('HSET', RETRIES, sale, ARGV[5])
end
if ARGV[6] ~= '' then
  redis.call('XADD', DELIVERIES, 'MAXLEN', '~', ARGV[7], '*', 'try', ARGV[6])
end
return DONE
