#!lua
-- @include book
-- @include claiming
-- @include paying
--
-- confirm: decides a batch of charges in the order given: each pays for its order, or is to be given back. The first
-- decision stands; a charge that comes again is told what it was.
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
-- ARGV[2] how many overdue holds this call may take back
-- ARGV[3] consumer group of the jobs
-- ARGV[4..] of each charge: reservation id, attempt and method (a byte each), money (nine bytes), reference, entry of the
--   payments stream that brought it ('' for none): it is acknowledged and deleted once the charge has its fate
--
-- Returns { now_ms, decision of each charge }
--   a decision is an outcome, or { 3, fate } for one that was decided before, in precedence:
--     3 REPLAYED             { , fate: 1 order, 2 to be given back, 3 given back }
--     4 UNKNOWN_RESERVATION
--     5 NOT_REQUESTED        nobody has asked for a payment of this reservation
--     6 WRONG_AMOUNT         too much, too little, or another currency
--     7 PAID_TWICE           another charge has paid for the order
--     8 CANCELLED
--     9 REFUNDED
--    10 LIMIT_REACHED        the hold had ended, and the customer has others since
--    11 SOLD_OUT             the hold had ended, and its units are gone
--    12 RECLAIMING           ask again: more overdue holds than one call takes back
--     1 CONFIRMED
--     2 CONFIRMED_LATE       the hold had ended, and its units could be taken again

local CONFIRMED_IN_TIME, CONFIRMED_LATE, REPLAYED, UNKNOWN_RESERVATION, NOT_REQUESTED, WRONG_AMOUNT = 1, 2, 3, 4, 5, 6
local PAID_TWICE, IS_CANCELLED, IS_REFUNDED, LIMIT_REACHED, SOLD_OUT, RECLAIMING = 7, 8, 9, 10, 11, 12
local LINE = 5

local release_one, _, body_of, _, is_overdue, count, rewrite = releasing()
local first_arg = 4
local total = (#ARGV - first_arg + 1) / LINE
local sold, done, results = {}, {}, {} -- sku -> units sold here; entries to acknowledge
local char, pack = string.char, struct.pack

-- The fate of a charge that is known already.
local function fate_of(charges, reference)
  local at, n = 1, #charges
  while at <= n do
    local next_at = at + CHARGE_BYTES + byte(charges, at + 10)
    if sub(charges, at + CHARGE_BYTES, next_at - 1) == reference then
      return byte(charges, at)
    end
    at = next_at
  end
  return nil
end

-- Takes the units of an ended hold again. Returns why that is not possible.
local function retake(id, record, lines)
  local broken_limit, reclaim = claiming()
  local customer, units = lines[1], 0
  if customers[customer] == nil then
    customers[customer] = redis.call('HGET', CUSTOMERS, customer)
  end
  for i = 2, #lines, 2 do
    item_of(lines[i])
  end
  if broken_limit(customer, lines) then
    return LIMIT_REACHED
  end
  for i = 2, #lines, 2 do
    local short = reclaim(items[lines[i]], lines[i + 1])
    if short then
      return short == SHORT and SOLD_OUT or RECLAIMING
    end
  end
  for i = 2, #lines, 2 do
    local item = items[lines[i]]
    item.available = item.available - lines[i + 1]
    changed[lines[i]] = item
    units = units + lines[i + 1]
  end
  count(customer, id, pack('>I4', units))
  return nil
end

local function decide(id, mark, money, reference)
  local attempt, method = byte(mark), sub(mark, 2, 2)
  local payment, record = payments[id], records[id]
  local known, charges, details = '', '', ''
  if payment then
    known, charges, details = parts_of(payment)
    local fate = #charges > 0 and fate_of(charges, reference)
    if fate then
      return { REPLAYED, fate }
    end
  end
  local refused, late
  local status = record and byte(record)
  if not record then
    refused = UNKNOWN_RESERVATION
  elseif not payment or byte(payment, 2) == 0 then
    refused = NOT_REQUESTED
  elseif sub(payment, 4, 12) ~= money then
    refused = WRONG_AMOUNT
  elseif status == CONFIRMED then
    refused = PAID_TWICE
  elseif status == CANCELLED then
    refused = IS_CANCELLED
  elseif status == REFUNDED then
    refused = IS_REFUNDED
  else
    local lines = body_of(record)
    if status == HELD and not is_overdue(record) then
      for i = 2, #lines, 2 do
        local item = item_of(lines[i])
        item.held = item.held - lines[i + 1]
        changed[lines[i]] = item
      end
      removals[#removals + 1] = id
    else
      if status == HELD then
        release_one(id, record, EXPIRED, 'reservation.expired', id)
        record = records[id]
      end
      late = true
      refused = retake(id, record, lines)
      if refused == RECLAIMING then
        return RECLAIMING
      end
    end
    if not refused then
      for i = 2, #lines, 2 do
        sold[lines[i]] = (sold[lines[i]] or 0) + lines[i + 1]
      end
      rewrite(id, record, CONFIRMED)
    end
  end

  local charge = money .. char(#reference) .. reference
  if not refused then
    fact('reservation.confirmed', id .. (late and '\1' or '\0') .. method .. charge)
    if known ~= reference then
      abandon(id, payment)
    end
    -- From here on the record tells of the attempt that has paid.
    keep_payment(id, packed_payment(char(PAID) .. mark .. money, reference, charges .. char(ORDER) .. charge, ''))
    return late and CONFIRMED_LATE or CONFIRMED_IN_TIME
  end
  fact('charge.refused', id .. char(refused) .. method .. charge)
  job('refund', id .. charge)
  local head = payment and sub(payment, 1, 12) or char(REFUNDING, 0) .. method .. money
  if payment and byte(payment) ~= PAID and (byte(payment, 2) == attempt or byte(payment) > FAILED) then
    head = char(REFUNDING) .. sub(payment, 2, 12)
    waiting_no_more[#waiting_no_more + 1] = id
  end
  keep_payment(id, packed_payment(head, known, charges .. char(GIVING_BACK) .. charge, details))
  return refused
end

local ids = {}
for i = 1, total do
  ids[i] = ARGV[first_arg + LINE * (i - 1)]
end
local found, found_payments = redis.call('HMGET', RESERVATIONS, unpack(ids)), redis.call('HMGET', ATTEMPTS, unpack(ids))
for i = 1, total do
  records[ids[i]], payments[ids[i]] = found[i], found_payments[i]
end
for i = 1, total do
  local at = first_arg + LINE * (i - 1)
  local result = decide(ids[i], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  results[i] = result
  if result ~= RECLAIMING and ARGV[at + 4] ~= '' then
    done[#done + 1] = ARGV[at + 4]
  end
end
save()
for sku, units in pairs(sold) do
  redis.call('HINCRBY', STOCK, 'sold:' .. sku, units)
end
save_payments()
if #done > 0 then
  redis.call('XACK', PAYMENTS, ARGV[3], unpack(done))
  redis.call('XDEL', PAYMENTS, unpack(done))
end
return { now, results }
