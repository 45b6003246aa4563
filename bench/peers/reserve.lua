#!lua
-- What the Redis contenders of the race run for one reservation: check the stock, take from it, record who has it.
-- flashsale's own script is lua/reserve.lua; this one does the least that sells nothing twice.
--
-- KEYS[1] peer:{sale}:stock:<sku>     string, units left
-- KEYS[2] peer:{sale}:reservations    hash, id -> units
-- ARGV[1] id of the reservation
-- ARGV[2] units
--
-- Returns 1 when they are reserved, 0 when there are too few.
local left = tonumber(redis.call('GET', KEYS[1]) or '0')
if left < tonumber(ARGV[2]) then
  return 0
end
redis.call('DECRBY', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
