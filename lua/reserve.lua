#!lua
-- @include claiming
--
-- reserve: decides a batch of reservations in the order given, each all or nothing. A refused reservation has written
-- nothing of its own; overdue holds are taken back first when an item has too few units left.
--
-- KEYS[1] fs:{S}:sale          hash
-- KEYS[2] fs:{S}:stock         hash
-- KEYS[3] fs:{S}:customers     hash
-- KEYS[4] fs:{S}:reservations  hash
-- KEYS[5] fs:{S}:holds         zset
-- KEYS[6] fs:{S}:journal       stream
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2] how many overdue holds this call may take back
-- ARGV[3] two bytes for each reservation: 'r' when its id may exist already (it comes from an Idempotency-Key), else '-';
--         then N when it wants one unit of the Nth sku below and nothing else, 0 when its body must be read
-- ARGV[4] how many skus follow; then those skus
-- ARGV[..] of each reservation: id, customer, body (MessagePack: customer, then sku and units of each line)
--
-- Returns { now_ms, version, opens_ms, held_until_ms, place, closes_ms (0: none), what the sale answers everybody (0: nothing),
--   items, decision of each reservation }
--   items: { sku, available, held, next_release_ms, certain_until_ms, ... } of every item named, after the batch; when it
--     has too little left, its earliest hold ends at next_release_ms (0: not among the first holds) and nothing of it comes back
--     by itself before certain_until_ms (0: never)
--   a decision is the place (>= 1) of a new hold, or a negative outcome, or { negative outcome, detail }, in precedence:
--     -2 REPLAYED              { , record }
--     -3 IDEMPOTENCY_MISMATCH
--     -4 UNKNOWN_SALE
--     -5 UNKNOWN_ITEM          { , sku }
--     -6 NOT_OPEN
--     -7 PAUSED
--     -8 CLOSED
--     -9 LIMIT_REACHED         { , the customer's entries, sku ('' when it is the sale's limit) }
--    -10 SOLD_OUT              { , sku, units of it that this customer holds (0 for one with very many) }; bare for the one sku of a new customer
--    -11 RECLAIMING            ask again: more overdue holds than one call takes back

local REPLAYED, IDEMPOTENCY_MISMATCH, UNKNOWN_SALE, UNKNOWN_ITEM = -2, -3, -4, -5
local NOT_OPEN, PAUSED, CLOSED, LIMIT_REACHED, SOLD_OUT, RECLAIMING = -6, -7, -8, -9, -10, -11

local ENTRIES_KEPT = 64 -- of one customer, before the oldest ended ones are dropped

local held_until = now + hold_ms
local held_until_text = string.format('%d', held_until)
local header = struct.pack('>BBI6I6', HELD, 0, now, held_until)
local shapes = ARGV[3]
local count = #shapes / 2
local first_arg = 5 + ARGV[4]
local results = {}
local short_of = {} -- skus of which somebody wanted more than there is

-- What the sale as a whole answers, whoever asks.
local refusal = nil
if not state then
  refusal = UNKNOWN_SALE
elseif over then
  refusal = CLOSED
elseif now < opens_ms then
  refusal = NOT_OPEN
elseif state == 'paused' then
  refusal = PAUSED
end

-- The customers of the batch, and the ids that may exist already, in one command each.
if string.find(shapes, 'r', 1, true) then
  local ids = {}
  for i = 1, count do
    if string.byte(shapes, 2 * i - 1) == 114 then
      ids[#ids + 1] = ARGV[first_arg + 3 * i - 3]
    end
  end
  if #ids > 0 then
    local values = redis.call('HMGET', RESERVATIONS, unpack(ids))
    for i = 1, #ids do
      records[ids[i]] = values[i]
    end
  end
end
if not refusal then
  local names = {}
  for i = 1, count do
    names[i] = ARGV[first_arg + 3 * i - 2]
  end
  local values = redis.call('HMGET', CUSTOMERS, unpack(names))
  for i = 1, count do
    customers[names[i]] = values[i]
  end
end

-- Whatever is not a new customer buying one unit of an item that is left. Returns the refusal; or nil, how many
-- units are held, and the customer's entries so far. The counters have then been changed.
local function examine(customer, body)
  local broken_limit, reclaim, units_of = claiming()
  local lines = cmsgpack.unpack(body)

  -- The customer's entries, with the oldest ended ones dropped when there are too many.
  local function trimmed()
    local entries, first = customers[customer] or '', 1
    while #entries >= ENTRIES_KEPT * ENTRY_BYTES and first <= #entries do
      if string.sub(entries, first + ID_BYTES, first + ENTRY_BYTES - 1) == NO_UNITS then
        entries = string.sub(entries, 1, first - 1) .. string.sub(entries, first + ENTRY_BYTES)
      else
        first = first + ENTRY_BYTES
      end
    end
    return entries
  end

  for i = 2, #lines, 2 do
    if not item_of(lines[i]) then
      return { UNKNOWN_ITEM, lines[i] }
    end
  end
  if refusal then
    return refusal
  end
  local broken = broken_limit(customer, lines)
  if broken then
    return { LIMIT_REACHED, customers[customer] or '', broken }
  end
  for i = 2, #lines, 2 do
    local short = reclaim(items[lines[i]], lines[i + 1])
    if short == SHORT then
      short_of[lines[i]] = true
      return { SOLD_OUT, lines[i], #(customers[customer] or '') > ENTRIES_KEPT * ENTRY_BYTES and 0
        or units_of(customer, lines[i], true) }
    elseif short then
      return RECLAIMING
    end
  end
  local units = 0
  for i = 2, #lines, 2 do
    local item = items[lines[i]]
    item.available = item.available - lines[i + 1]
    item.held = item.held + lines[i + 1]
    changed[lines[i]] = item
    units = units + lines[i + 1]
  end
  return nil, units, trimmed()
end

local pack = struct.pack
local one_unit = '\0\0\0\1'
for i = 1, count do
  local at = first_arg + 3 * i - 3
  local id, customer, body = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local repeatable, nth = byte(shapes, 2 * i - 1, 2 * i)
  local known = repeatable == 114 and records[id]
  if known then
    results[i] = sub(known, HEADER_BYTES + 1) == body and { REPLAYED, known } or IDEMPOTENCY_MISMATCH
  elseif not state then
    results[i] = UNKNOWN_SALE
  else
    local entries, packed_units, refused = customers[customer], one_unit, nil
    local item = nth > 0 and not refusal and not entries and item_of(ARGV[4 + nth])
    if item and item.available > 0 then
      item.available = item.available - 1
      item.held = item.held + 1
      changed[ARGV[4 + nth]] = item
    elseif item and nothing_overdue then
      refused = SOLD_OUT
    else
      local units
      refused, units, entries = examine(customer, body)
      packed_units = units and pack('>I4', units)
    end
    if refused then
      results[i] = refused
    else
      place = place + 1
      results[i] = place
      local record = header .. pack('>I6', place) .. body
      records[id] = record -- not written yet: a later claim of this customer, or of this key, finds it here
      entries = (entries or '') .. id .. packed_units
      customers[customer] = entries
      record_writes[record_count + 1], record_writes[record_count + 2] = id, record
      record_count = record_count + 2
      customer_writes[customer_count + 1], customer_writes[customer_count + 2] = customer, entries
      customer_count = customer_count + 2
      local holds = 2 * (place - place_before)
      hold_writes[holds - 1], hold_writes[holds] = held_until_text, id
      fact('reservation.held', id .. record)
    end
  end
end
save()

-- When the earliest hold of an item that has nothing left ends, looking at the first holds only; 0 when none is found.
local named = {}
for sku, item in pairs(items) do
  if item then
    local next_release, certain_until = 0, 0
    if item.held > 0 and (item.available == 0 or short_of[sku]) then
      local _, _, body_of = releasing()
      local ids = redis.call('ZRANGE', HOLDS, '0', '31', 'WITHSCORES')
      for i = 1, #ids, 2 do
        local found = item_count == '1'
        local record = not found and redis.call('HGET', RESERVATIONS, ids[i])
        local body = record and body_of(record) or {}
        for j = 2, #body, 2 do
          found = found or body[j] == sku
        end
        certain_until = tonumber(ids[i + 1])
        if found then
          next_release = certain_until
          break
        end
      end
    end
    local n = #named
    named[n + 1], named[n + 2], named[n + 3] = sku, item.available, item.held
    named[n + 4], named[n + 5] = next_release, certain_until
  end
end
return { now, version, opens_ms, held_until, place, closes_ms, refusal or 0, named, results }
