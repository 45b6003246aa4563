#!lua flags=no-writes
-- @include clock
--
-- find: some reservations of a sale and their payments, as they are together at one instant.
--
-- KEYS[1] fs:{S}:sale          hash
-- KEYS[2] fs:{S}:stock         hash
-- KEYS[3] fs:{S}:customers     hash
-- KEYS[4] fs:{S}:reservations  hash
-- KEYS[5] fs:{S}:holds         zset
-- KEYS[6] fs:{S}:journal       stream
-- KEYS[7] fs:{S}:attempts      hash
-- KEYS[8] fs:{S}:payments      stream
-- KEYS[9] fs:{S}:turns         zset
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2..] reservation ids (their 16 characters)
--
-- Returns { now_ms, version, records, payments, ahead }
--   version: of the sale's definition, 0 when there is no such sale
--   records and payments of each reservation asked for, '' when there is none
--   ahead: how many payments go to the provider before its own, '' when it does not wait for its turn

local QUEUED = 1

local ids = { unpack(ARGV, 2) }
local records, payments = redis.call('HMGET', KEYS[4], unpack(ids)), redis.call('HMGET', KEYS[7], unpack(ids))
local ahead = {}
for i = 1, #ids do
  records[i], payments[i], ahead[i] = records[i] or '', payments[i] or '', ''
  if string.byte(payments[i]) == QUEUED then
    local place = redis.call('ZSCORE', KEYS[9], ids[i])
    place = type(place) == 'table' and string.format('%d', place.double) or place
    ahead[i] = place and redis.call('ZCOUNT', KEYS[9], '-inf', '(' .. place) or ''
  end
end
return { now, tonumber(redis.call('HGET', KEYS[1], 'version') or 0), records, payments, ahead }
