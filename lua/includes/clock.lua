-- now: the instant the script works with, in milliseconds since the epoch, from ARGV[1]. 0 means the server's own TIME;
-- only tests and simulations pass another value.
local now = tonumber(ARGV[1])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
