#!lua
-- @include clock
-- @include job
--
-- dispatch: puts into the stream what is due: payments whose turn it is, those with the lowest places first, and jobs that
-- were to be tried again at this instant.
--
-- KEYS[1] fs:{S}:payments  stream
-- KEYS[2] fs:{S}:turns     zset
-- KEYS[3] fs:{S}:retries   zset
-- KEYS[4] fs:{S}:dead      hash
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2] how many payments may go to the provider now
-- ARGV[3] how many other jobs at most
--
-- Returns { now_ms, payments put, jobs put, payments that still wait, when the next job is due (ms; 0: none) }

local PAYMENTS, TURNS, RETRIES = KEYS[1], KEYS[2], KEYS[3]

local put = redis.call('ZPOPMIN', TURNS, ARGV[2])
for i = 1, #put, 2 do
  redis.call('XADD', PAYMENTS, '*', 'start', put[i])
end
local due = redis.call('ZRANGEBYSCORE', RETRIES, '-inf', string.format('%d', now), 'LIMIT', '0', ARGV[3])
for i = 1, #due do
  local kind, payload, tries = unpacked(due[i])
  redis.call('XADD', PAYMENTS, '*', kind, payload, 'tries', string.format('%d', tries))
  redis.call('ZREM', RETRIES, due[i])
end
local first = redis.call('ZRANGE', RETRIES, '0', '0', 'WITHSCORES')
return { now, #put / 2, #due, redis.call('ZCARD', TURNS), tonumber(first[2] or 0) }
