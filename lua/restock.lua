#!lua
-- @include state
--
-- restock: adds units to an item of a sale that is not over. With a repeat key the same call again changes nothing.
--
-- KEYS[1] fs:{S}:sale          hash
-- KEYS[2] fs:{S}:stock         hash
-- KEYS[3] fs:{S}:customers     hash
-- KEYS[4] fs:{S}:reservations  hash
-- KEYS[5] fs:{S}:holds         zset
-- KEYS[6] fs:{S}:journal       stream
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2] sku
-- ARGV[3] units (>= 1)
-- ARGV[4] reason, for the journal
-- ARGV[5] repeat key ('' for none): remembered with the sale, so that a doubled request adds its units once
--
-- Returns { outcome, now_ms }
--   outcome, in order of precedence: 2 UNKNOWN_SALE, 3 UNKNOWN_ITEM, 4 REPLAYED, 5 REPEAT_MISMATCH, 6 CLOSED, 1 DONE

local DONE, UNKNOWN_SALE, UNKNOWN_ITEM, REPLAYED, REPEAT_MISMATCH, CLOSED = 1, 2, 3, 4, 5, 6

local sku, units, reason, key = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
if not state then
  return { UNKNOWN_SALE, now }
end
local item = item_of(sku)
if not item then
  return { UNKNOWN_ITEM, now }
end
local payload = ARGV[3] .. ' ' .. sku
if key ~= '' then
  local known = redis.call('HGET', SALE, 'restock:' .. key)
  if known then
    return { known == payload and REPLAYED or REPEAT_MISMATCH, now }
  end
end
if over then
  return { CLOSED, now }
end
keep_time()
item.available = item.available + units
changed[sku] = item
redis.call('HINCRBY', STOCK, 'stock:' .. sku, ARGV[3])
if key ~= '' then
  redis.call('HSET', SALE, 'restock:' .. key, payload)
end
fact('item.restocked', cmsgpack.pack({ sku, units, reason }))
save()
return { DONE, now }
