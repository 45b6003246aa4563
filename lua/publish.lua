#!lua
--
-- publish: appends order events, if the stream still ends where the caller believes; so any number of publishers may work
-- side by side, and none leaves a gap or says anything twice.
--
-- KEYS[1] fs:{S}:orders  stream
-- ARGV[1] sequence of the last entry, 0 for none
-- ARGV[2..] of each event: sequence, seq of its fact, the CloudEvent as JSON, the sale's tally with it as JSON
--
-- Returns sequence of the last entry: another than that of the last event when somebody else was faster, and nothing was written

local EVENT = 4

local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', '1')
local sequence = last[1] and string.match(last[1][1], '^%d+') or '0'
if sequence ~= ARGV[1] then
  return tonumber(sequence)
end
for i = 2, #ARGV, EVENT do
  sequence = ARGV[i]
  redis.call('XADD', KEYS[1], sequence .. '-' .. ARGV[i + 1], 'event', ARGV[i + 2], 'tally', ARGV[i + 3])
end
return tonumber(sequence)
