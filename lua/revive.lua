#!lua
-- @include clock
-- @include job
--
-- revive: puts jobs that were given up into the stream again, as if they had never been tried.
--
-- KEYS[1] fs:{S}:payments  stream
-- KEYS[2] fs:{S}:turns     zset
-- KEYS[3] fs:{S}:retries   zset
-- KEYS[4] fs:{S}:dead      hash
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2..] their ids
--
-- Returns { now_ms, how many there were }

local PAYMENTS, DEAD = KEYS[1], KEYS[4]
local DEAD_HEADER_BYTES = 10 -- at_ms 6, length of the job 4; the job and the error follow

local revived = 0
for i = 2, #ARGV do
  local dead = redis.call('HGET', DEAD, ARGV[i])
  if dead then
    local length = struct.unpack('>I4', dead, 7)
    local kind, payload = unpacked(string.sub(dead, DEAD_HEADER_BYTES + 1, DEAD_HEADER_BYTES + length))
    redis.call('XADD', PAYMENTS, '*', kind, payload)
    redis.call('HDEL', DEAD, ARGV[i])
    revived = revived + 1
  end
end
return { now, revived }
