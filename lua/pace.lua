#!lua
-- @include clock
--
-- pace: shares out the calls that a provider takes in a second, to all workers of all sales together. It is the generic cell
-- rate algorithm: the next free instant of each provider is remembered. A twentieth of a second's calls, or one, may go at
-- once; the others follow so much slower that no second, wherever it begins, sees more calls than the provider takes.
--
-- KEYS[1] fs:pace  hash
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2] provider
-- ARGV[3] calls a second
-- ARGV[4] how many are wanted
--
-- Returns { now_ms, how many may be made now, wait_ms until the next one }

local BURSTS = 20 -- in a second
local TINY_MS = 0.001 -- what the remembered instant loses by being written down

local rate, wanted = tonumber(ARGV[3]), tonumber(ARGV[4])
local burst = math.max(1, math.floor(rate / BURSTS))
local interval = 1000 / (rate - burst + 1)
local free = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or 0)
if free < now or free > now + 2 * burst * interval then
  free = now -- nobody has called for a while, or the clock was set back
end
local granted = math.max(0, math.min(wanted, math.floor(burst - (free - now - TINY_MS) / interval)))
if granted > 0 then
  free = free + granted * interval
  redis.call('HSET', KEYS[1], ARGV[2], string.format('%.3f', free))
end
return { now, granted, math.max(0, math.ceil(free - now - (burst - 1) * interval - TINY_MS)) }
