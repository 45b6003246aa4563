#!lua
-- @include book
--
-- open_sale: defines a sale with its stock. Until the sale has opened another definition replaces the first one; the stock
-- then follows the new definition, and the journal tells the difference, so that its facts always add up to the stock.
--
-- KEYS[1] fs:{S}:sale          hash
-- KEYS[2] fs:{S}:stock         hash
-- KEYS[3] fs:{S}:customers     hash
-- KEYS[4] fs:{S}:reservations  hash
-- KEYS[5] fs:{S}:holds         zset
-- KEYS[6] fs:{S}:journal       stream
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2] definition, canonical JSON
-- ARGV[3] opens_ms
-- ARGV[4] closes_ms, 0 for none
-- ARGV[5] limit per customer, 0 for none
-- ARGV[6] hold_ms
-- ARGV[7] 1 for a rehearsal, else 0
-- ARGV[8] how many items follow, each as sku, stock, limit per customer (0 for none)
--
-- Returns { outcome, now_ms, version }
--   outcome, in order of precedence: 2 SAME (nothing changed), 3 ALREADY_OPENED, 4 REDEFINED, 1 CREATED

local CREATED, SAME, ALREADY_OPENED, REDEFINED = 1, 2, 3, 4

local definition, count = ARGV[2], tonumber(ARGV[8])
local outcome = CREATED
local had = {} -- sku -> stock before
if state then
  if redis.call('HGET', SALE, 'definition') == definition then
    return { SAME, now, version }
  end
  if opened or now >= opens_ms or over then
    return { ALREADY_OPENED, now, version }
  end
  outcome = REDEFINED
  local fields = redis.call('HGETALL', STOCK)
  for i = 1, #fields, 2 do
    local sku = string.match(fields[i], '^stock:(.*)$')
    if sku then
      had[sku] = tonumber(fields[i + 1])
    end
  end
  redis.call('DEL', STOCK)
end

-- A version is an instant, so that it does not come back when a store has lost its data and the sale is defined anew.
version = math.max(version + 1, now)
redis.call('HSET', SALE, 'state', state or 'open', 'definition', definition, 'opens_ms', ARGV[3], 'closes_ms', ARGV[4],
  'limit', ARGV[5], 'hold_ms', ARGV[6], 'items', ARGV[8], 'version', string.format('%d', version))
if ARGV[7] == '1' then
  redis.call('HSET', SALE, 'rehearsal', '1')
else
  redis.call('HDEL', SALE, 'rehearsal')
end
local fields = {}
for i = 9, 8 + 3 * count, 3 do
  local sku, stock, limit = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local n = #fields
  for j, value in ipairs({ 'stock:' .. sku, stock, 'available:' .. sku, stock, 'held:' .. sku, '0', 'sold:' .. sku, '0',
    'limit:' .. sku, limit }) do
    fields[n + j] = value
  end
  local before = had[sku]
  local added = tonumber(stock) - (before or 0)
  had[sku] = nil
  if added ~= 0 or not before then -- an item is known by its first fact, even if it begins with nothing
    fact('item.restocked', cmsgpack.pack({ sku, added, 'defined' }))
  end
end
write('HSET', STOCK, fields)
local gone = {}
for sku in pairs(had) do
  gone[#gone + 1] = sku
end
table.sort(gone)
for _, sku in ipairs(gone) do
  fact('item.restocked', cmsgpack.pack({ sku, -had[sku], 'defined' }))
end
save()
return { outcome, now, version }
