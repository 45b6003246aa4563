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
-- ARGV[4] 1 when charges of the simulator pay for sales that are no rehearsals, else 0
-- ARGV[5..] of each charge: reservation id, attempt and method (a byte each), money (ten bytes), reference, entry of the
--   payments stream that brought it ('' for none): it is acknowledged and deleted once the charge has its fate
--
-- Returns { now_ms, decision of each charge }
--   a decision is an outcome, or { 3, fate } for one that was decided before, in precedence:
--     3 REPLAYED             { , fate: 1 order, 2 to be given back, 3 given back }
--     4 UNKNOWN_RESERVATION
--     5 NOT_REQUESTED        nobody has asked for a payment of this reservation
--    13 WRONG_PROVIDER       not of the simulator, for a rehearsal; or of it for another sale, and ARGV[4] is 0
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
local PAID_TWICE, IS_CANCELLED, IS_REFUNDED, LIMIT_REACHED, SOLD_OUT, RECLAIMING, WRONG_PROVIDER = 7, 8, 9, 10, 11, 12, 13
local LINE = 5
local LATE = 2 -- bit of the flags byte

local first_arg = 5
local total = (#ARGV - first_arg + 1) / LINE
local sold, done, results = {}, {}, {} -- sku -> units sold here; entries to acknowledge
local done_count = 0
local char = string.char
local rehearsal, simulated = redis.call('HGET', SALE, 'rehearsal'), ARGV[4] == '1'
local SIMULATOR = 'simulator:' -- how its references begin

-- Makes the function that decides whatever is not the first charge of a live hold, with the right amount, for its present
-- attempt.
local function examining()
  local release_one, _, body_of, _, is_overdue, count, rewrite = releasing()
  local _, keep_payment, parts_of, packed_payment, abandon, job = paying()

  -- The fate of a charge that is known already.
  local function fate_of(charges, reference)
    local at, n = 1, #charges
    while at <= n do
      local next_at = at + CHARGE_BYTES + byte(charges, at + CHARGE_BYTES - 1)
      if sub(charges, at + CHARGE_BYTES, next_at - 1) == reference then
        return byte(charges, at)
      end
      at = next_at
    end
    return nil
  end

  -- Takes the units of an ended hold again. Returns why that is not possible.
  local function retake(id, lines)
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
    count(customer, id, struct.pack('>I4', units))
    return nil
  end

  -- Makes an order of the reservation. Returns why that is not possible; or nil, and whether it is late.
  local function order(id, record)
    local lines, late = body_of(record), false
    if byte(record) == HELD and not is_overdue(record) then
      for i = 2, #lines, 2 do
        local item = item_of(lines[i])
        item.held = item.held - lines[i + 1]
        changed[lines[i]] = item
      end
      removals[#removals + 1] = id
    else
      if byte(record) == HELD then
        release_one(id, record, EXPIRED, 'reservation.expired', id)
        record = records[id]
      end
      late = true
      local refused = retake(id, lines)
      if refused then
        return refused
      end
    end
    for i = 2, #lines, 2 do
      sold[lines[i]] = (sold[lines[i]] or 0) + lines[i + 1]
    end
    if late then
      record = sub(record, 1, 1) .. char(byte(record, 2) % LATE + LATE) .. sub(record, 3)
    end
    rewrite(id, record, CONFIRMED)
    return nil, late
  end

  return function(id, mark, money, reference, record, payment, strange)
    local known, charges, details = '', '', ''
    if payment then
      known, charges, details = parts_of(payment)
      local fate = fate_of(charges, reference)
      if fate then
        return { REPLAYED, fate }
      end
    end
    local status, refused, late = record and byte(record), nil, nil
    if not record then
      refused = UNKNOWN_RESERVATION
    elseif not payment or byte(payment, 2) == 0 then
      refused = NOT_REQUESTED
    elseif strange then
      refused = WRONG_PROVIDER
    elseif sub(payment, 4, HEAD_BYTES) ~= money then
      refused = WRONG_AMOUNT
    elseif status == CONFIRMED then
      refused = PAID_TWICE
    elseif status == CANCELLED then
      refused = IS_CANCELLED
    elseif status == REFUNDED then
      refused = IS_REFUNDED
    else
      refused, late = order(id, record)
    end
    if refused == RECLAIMING then
      return RECLAIMING
    end
    local method, charge = sub(mark, 2, 2), money .. char(#reference) .. reference
    if not refused then
      order_fact('reservation.confirmed', id, (late and '\1' or '\0') .. method .. charge)
      if known ~= reference then
        abandon(id, payment)
      end
      -- From here on the record tells of the attempt that has paid.
      keep_payment(id, packed_payment(char(PAID) .. mark .. money, reference, charges .. char(ORDER) .. charge, ''))
      return late and CONFIRMED_LATE or CONFIRMED_IN_TIME
    end
    fact('charge.refused', id .. char(refused) .. method .. charge)
    job('refund', id .. charge)
    local head = payment and sub(payment, 1, HEAD_BYTES) or char(REFUNDING, 0) .. method .. money
    if payment and byte(payment) ~= PAID and (byte(payment, 2) == byte(mark) or byte(payment) > FAILED) then
      head = char(REFUNDING) .. sub(payment, 2, HEAD_BYTES)
      waiting_no_more[#waiting_no_more + 1] = id
    end
    keep_payment(id, packed_payment(head, known, charges .. char(GIVING_BACK) .. charge, details))
    return refused
  end
end

local ids = {}
for i = 1, total do
  ids[i] = ARGV[first_arg + LINE * (i - 1)]
end
local found, found_payments = redis.call('HMGET', RESERVATIONS, unpack(ids)), redis.call('HMGET', ATTEMPTS, unpack(ids))
local examine = nil
local lines_of = {} -- end of a body, behind the customer -> sku and units of its only line
for i = 1, total do
  local at = first_arg + LINE * (i - 1)
  local id, mark, money, reference = ids[i], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local record, payment = records[id], payments[id] -- as this call has left them, if it has met them before
  if record == nil then
    record = found[i]
  end
  if payment == nil then
    payment = found_payments[i]
  end
  local result, line, strange = nil, nil, false
  if rehearsal then
    strange = sub(reference, 1, #SIMULATOR) ~= SIMULATOR
  elseif not simulated then
    strange = sub(reference, 1, #SIMULATOR) == SIMULATOR
  end
  -- The usual charge: the first one, of the right amount, for the present attempt of a live hold with one line.
  if record and payment and not strange and byte(record) == HELD and sub(payment, HEAD_BYTES + 2, PAYMENT_BYTES) == '\0\0' and sub(payment, 4, HEAD_BYTES) == money
    and sub(payment, 2, 2) == sub(mark, 1, 1) and byte(payment) <= FAILED and #reference < 240
    and sub(payment, PAYMENT_BYTES + 1, PAYMENT_BYTES + byte(payment, HEAD_BYTES + 1)) == reference and struct.unpack('>I6', record, 9) > now then
    local shape, name = byte(record, 21, 22)
    if shape == 0x93 and name >= 0xa0 and name < 0xc0 then -- three elements, the first a text of less than 32 bytes
      local rest = sub(record, 23 + name - 0xa0)
      line = lines_of[rest]
      if not line then
        local body = cmsgpack.unpack(sub(record, HEADER_BYTES + 1))
        line = { item_of(body[2]), body[3] }
        lines_of[rest] = line
        changed[body[2]] = line[1]
        line[3] = body[2]
      end
    end
  end
  if line then
    local units, length = line[2], char(#reference)
    local charge = money .. length .. reference
    line[1].held = line[1].held - units
    sold[line[3]] = (sold[line[3]] or 0) + units
    record = '\2' .. sub(record, 2)
    payment = '\6' .. mark .. money .. length .. '\0' .. char(#charge + 1) .. reference .. '\1' .. charge
    records[id], payments[id] = record, payment
    removals[#removals + 1] = id
    record_writes[record_count + 1], record_writes[record_count + 2] = id, record
    record_count = record_count + 2
    payment_writes[payment_count + 1], payment_writes[payment_count + 2] = id, payment
    payment_count = payment_count + 2
    order_fact('reservation.confirmed', id, '\0' .. sub(mark, 2, 2) .. charge)
    result = CONFIRMED_IN_TIME
  else
    examine = examine or examining()
    records[id], payments[id] = record, payment
    result = examine(id, mark, money, reference, record, payment, strange)
  end
  results[i] = result
  if result ~= RECLAIMING and ARGV[at + 4] ~= '' then
    done_count = done_count + 1
    done[done_count] = ARGV[at + 4]
  end
end
save()
for sku, units in pairs(sold) do
  redis.call('HINCRBY', STOCK, 'sold:' .. sku, units)
end
save_payments()
if done_count > 0 then
  redis.call('XACK', PAYMENTS, ARGV[3], unpack(done))
  redis.call('XDEL', PAYMENTS, unpack(done))
end
return { now, results }
