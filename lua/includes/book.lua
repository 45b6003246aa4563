-- @include clock
-- @include write
--
-- The book of a sale while a script runs: what the script needs is read once, changed in memory, and written once at the
-- end by save(), the facts first, in the order of the decisions. Whatever fails before save() has therefore written nothing.
--
-- Needs KEYS[1..6] = sale, stock, customers, reservations, holds, journal (see flashsale/keys.py).
-- A script is run anew by every call, and each `local function` in it costs that call about half a microsecond: what is
-- rarely needed is made where it is needed.

local redis_call, format, byte, sub = redis.call, string.format, string.byte, string.sub
local ARGV = ARGV
local SALE, STOCK, CUSTOMERS, RESERVATIONS, HOLDS, JOURNAL = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]

-- State of a reservation: the first byte of its record.
local HELD, CONFIRMED, CANCELLED, EXPIRED, REFUNDED = 1, 2, 3, 4, 5

local HEADER_BYTES = 20 -- of a record: state, flags, held_ms, held_until_ms, place; its MessagePack body follows
local ID_BYTES = 16
local ENTRY_BYTES = 20 -- in a customer's value: id, then units still counted against the limit as 4 bytes
local NO_UNITS = '\0\0\0\0'

local now_text = string.format('%d', now)

local terms = redis.call('HMGET', SALE, 'state', 'opens_ms', 'closes_ms', 'seq', 'place', 'opened', 'limit', 'hold_ms',
  'version', 'items', 'orders', 'recovering')
if terms[12] then -- the store came back with an older journal than the archive has; see `flashsale recover`
  return redis.error_reply('RECOVERING the journal is older than the archive')
end
local state = terms[1] -- open, paused or closed, as the brand set it; false when there is no such sale
local opens_ms, closes_ms = tonumber(terms[2] or 0), tonumber(terms[3] or 0)
local seq, place, opened = tonumber(terms[4] or 0), tonumber(terms[5] or 0), terms[6]
local limit, hold_ms, version = tonumber(terms[7] or 0), tonumber(terms[8] or 0), tonumber(terms[9] or 0)
local item_count = terms[10]
local orders = tonumber(terms[11] or 0) -- how often an order was made or undone
local seq_before, place_before, orders_before = seq, place, orders
local over = state == 'closed' or (closes_ms > 0 and now >= closes_ms)

local items = {} -- sku -> { available =, held =, limit = }; false when the sale has no such item
local changed = {} -- sku -> item whose counters must be written
local customers = {} -- customer -> packed entries; false when there are none
local records = {} -- id -> packed record; false when there is none
local record_writes, hold_writes, customer_writes = {}, {}, {} -- arguments of HSET, ZADD, HSET
local facts, fact_count = {}, 0 -- type and data of each; they are numbered from seq_before on
local nothing_overdue = false -- known to be so at this instant
local removals, overdue_seen = {}, 0 -- holds to take out: by id, and how many of the first ones by rank
local sale_writes = {} -- arguments of HSET
local record_count, customer_count = 0, 0 -- how many there are in two of them: `#` would look for the end each time

local function fact(kind, data)
  seq = seq + 1
  facts[fact_count + 1], facts[fact_count + 2] = kind, data
  fact_count = fact_count + 2
end

local function item_of(sku)
  local item = items[sku]
  if item == nil then
    local found = redis.call('HMGET', STOCK, 'available:' .. sku, 'held:' .. sku, 'limit:' .. sku)
    item = found[1]
      and { available = tonumber(found[1]), held = tonumber(found[2]), limit = tonumber(found[3] or 0) }
    items[sku] = item
  end
  return item
end

-- The opening is a fact of its own, before the first hold; it carries the definition, which is frozen from here on. It is
-- written at once, as a script that then finds nothing to do returns without save().
if state and not opened and now >= opens_ms then
  seq = seq + 1
  redis_call('XADD', JOURNAL, format('%d-%s', seq, now_text), 'sale.opened', redis.call('HGET', SALE, 'definition'))
  redis.call('HSET', SALE, 'opened', '1', 'seq', string.format('%d', seq))
  seq_before = seq
end

-- The fact that an order was made or undone. These are numbered too, gapless, for those who read nothing else.
local function order_fact(kind, id, data)
  orders = orders + 1
  fact(kind, id .. struct.pack('>I6', orders) .. data)
end

-- Writes what changed. Nothing after this call may fail.
local function save()
  local xadd, journal, facts, number = redis_call, JOURNAL, facts, seq_before
  local last, hundreds, endings = number % 100, nil, {} -- last: two digits of the number
  for i = 1, fact_count, 2 do
    number, last = number + 1, last + 1
    local id
    if fact_count < 32 or number < 100 then
      id = format('%d-%s', number, now_text)
    else -- joining two texts takes a quarter of the time of making one from a number
      if last >= 100 or not hundreds then
        last = number % 100
        hundreds = format('%d', (number - last) / 100)
      end
      local ending = endings[last]
      if not ending then
        ending = format('%02d-%s', last, now_text)
        endings[last] = ending
      end
      id = hundreds .. ending
    end
    xadd('XADD', journal, id, facts[i], facts[i + 1])
  end
  if overdue_seen > 0 then
    redis.call('ZREMRANGEBYRANK', HOLDS, '0', string.format('%d', overdue_seen - 1))
  end
  write('ZREM', HOLDS, removals)
  write('HSET', RESERVATIONS, record_writes)
  write('ZADD', HOLDS, hold_writes)
  write('HSET', CUSTOMERS, customer_writes)
  local args, n = {}, 0
  for sku, item in pairs(changed) do
    args[n + 1] = 'available:' .. sku
    args[n + 2] = string.format('%d', item.available)
    args[n + 3] = 'held:' .. sku
    args[n + 4] = string.format('%d', item.held)
    n = n + 4
  end
  write('HSET', STOCK, args)
  if seq ~= seq_before or place ~= place_before then
    local n = #sale_writes
    sale_writes[n + 1], sale_writes[n + 2] = 'seq', string.format('%d', seq)
    sale_writes[n + 3], sale_writes[n + 4] = 'place', string.format('%d', place)
    if orders ~= orders_before then
      sale_writes[n + 5], sale_writes[n + 6] = 'orders', string.format('%d', orders)
    end
    redis.call('HSET', SALE, unpack(sale_writes))
  end
end
