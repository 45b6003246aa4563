#!lua
-- @include clock
--
-- defer: takes a job that could not be done out of the stream, to be tried again later or to be put aside as dead.
--
-- KEYS[1] fs:{S}:payments  stream
-- KEYS[2] fs:{S}:turns     zset
-- KEYS[3] fs:{S}:retries   zset
-- KEYS[4] fs:{S}:dead      hash
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2] consumer group
-- ARGV[3] entry of the payments stream
-- ARGV[4] delay_ms until it is tried again, -1 when it is given up
-- ARGV[5] the job, packed, with the number of times it was tried
-- ARGV[6] why it could not be done
--
-- Returns { now_ms, 1 when the entry was still there, else 0 (another worker has done with it: nothing was changed) }

local PAYMENTS, RETRIES, DEAD = KEYS[1], KEYS[3], KEYS[4]

local entry, delay_ms = ARGV[3], tonumber(ARGV[4])
if redis.call('XDEL', PAYMENTS, entry) == 0 then
  return { now, 0 }
end
redis.call('XACK', PAYMENTS, ARGV[2], entry)
if delay_ms < 0 then
  redis.call('HSET', DEAD, entry, struct.pack('>I6I4', now, #ARGV[5]) .. ARGV[5] .. ARGV[6])
else
  redis.call('ZADD', RETRIES, string.format('%d', now + delay_ms), ARGV[5])
end
return { now, 1 }
