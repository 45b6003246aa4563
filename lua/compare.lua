#!lua flags=allow-oom
--
-- compare: looks whether the journal has the last fact that the archive has. Where it has not, the sale is marked, and every
-- script that would change it refuses from then on; a mark that is out of date is taken away. It may run when memory is full.
--
-- KEYS[1] fs:{S}:sale     hash
-- KEYS[2] fs:{S}:journal  stream
-- ARGV[1] seq of the last fact that the archive has
-- ARGV[2] at_ms of it
-- ARGV[3] type of it
-- ARGV[4] data of it
--
-- Returns { outcome, seq of the sale, seq of the oldest fact in the journal (0: none) }
--   outcome, in order of precedence: 2 OLDER, 3 TRIMMED (nothing was changed), 4 OTHER, 1 SAME

local SAME, OLDER, TRIMMED, OTHER = 1, 2, 3, 4

local wanted = tonumber(ARGV[1])
local known = redis.call('HMGET', KEYS[1], 'seq', 'recovering')
local seq, mark = tonumber(known[1] or 0), tonumber(known[2] or 0)
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', '1')
local oldest = first[1] and tonumber(string.match(first[1][1], '^%d+')) or 0

local outcome = SAME
if seq < wanted then
  outcome = OLDER
elseif oldest > wanted then
  return { TRIMMED, seq, oldest }
else
  local there = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
  if not there or there[1] ~= ARGV[1] .. '-' .. ARGV[2] or there[2][1] ~= ARGV[3] or there[2][2] ~= ARGV[4] then
    outcome = OTHER
  end
end
if outcome ~= SAME then
  -- Whoever knows of more facts than we do is right.
  redis.call('HSET', KEYS[1], 'recovering', string.format('%d', math.max(wanted, mark)))
elseif known[2] and mark <= wanted then
  redis.call('HDEL', KEYS[1], 'recovering')
end
return { outcome, seq, oldest }
