#!lua
-- @include book
-- @include lengthen
-- @include outcome
-- @include paying
--
-- pay: queues payments of holds in the order given, each as a new attempt. Where the provider takes only so many a second
-- they wait for their turn, in the order of places. The first attempt of a reservation extends its hold, by the sale's
-- extension and by the wait that is to be expected. An attempt under way with another method is given up.
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
-- ARGV[2] extension_ms of the sale, 0 for none
-- ARGV[3] payments a second that the provider takes, 0 for any number
-- ARGV[4] how many payments and jobs may wait in the sale's queue
-- ARGV[5..] of each payment: reservation id, method (one byte), money that is due (ten bytes)
--
-- Returns { now_ms, { outcome, record ('' when unknown), payment ('' when there is none), ahead (payments before this one) }
--   of each payment }
--   outcome, in order of precedence: 2 UNKNOWN_RESERVATION, 3 ALREADY_CONFIRMED, 4 ALREADY_CANCELLED, 5 ALREADY_EXPIRED,
--   6 ALREADY_REFUNDED, 7 UNDER_WAY (with this method; nothing was changed), 8 TOO_MANY_ATTEMPTS, 9 BUSY, 1 DONE

local UNDER_WAY, TOO_MANY_ATTEMPTS, BUSY = 7, 8, 9
local MOST_ATTEMPTS = 20
local FIRST, LINE = 5, 3

local extension, rate = tonumber(ARGV[2]), tonumber(ARGV[3])
local waiting = redis.call('ZCARD', TURNS)
local room = tonumber(ARGV[4]) - redis.call('XLEN', PAYMENTS) - waiting
local release_one, _, _, record_of, is_overdue = releasing()
local payment_of, keep_payment, parts_of, packed_payment, abandon, job = paying()
local turns, places = {}, {} -- arguments of ZADD; the places that are new in it, and id -> true

-- How many payments go to the provider before one of this place.
local function ahead_of(place)
  local ahead = waiting == 0 and 0 or redis.call('ZCOUNT', TURNS, '-inf', '(' .. string.format('%d', place))
  for i = 1, #places do
    ahead = ahead + (places[i] < place and 1 or 0)
  end
  return ahead
end

local function pay(id, method, money)
  local record = record_of(id)
  if not record then
    return { UNKNOWN_RESERVATION, '', '', 0 }
  end
  local payment = payment_of(id)
  local already = ALREADY[byte(record)]
  if already then
    return { already, record, payment or '', 0 }
  end
  if is_overdue(record) then
    release_one(id, record, EXPIRED, 'reservation.expired', id)
    return { ALREADY_EXPIRED, record_of(id), payment or '', 0 }
  end
  local place = struct.unpack('>I6', record, 15)
  local ahead = ahead_of(place)
  local attempt, charges = 1, ''
  if payment then
    local status = byte(payment)
    if status <= PROCESSING and sub(payment, 3, 3) == method then
      return { UNDER_WAY, record, payment, status == QUEUED and ahead or 0 }
    end
    attempt = byte(payment, 2) + 1
    if attempt > MOST_ATTEMPTS then
      return { TOO_MANY_ATTEMPTS, record, payment, 0 }
    end
    local _
    _, charges = parts_of(payment)
  end
  if room <= 0 then
    return { BUSY, record, payment or '', 0 }
  end
  room = room - 1
  local queued = payment and byte(payment) == QUEUED -- then it may have its turn already
  if payment then
    abandon(id, payment)
  end
  payment = packed_payment(string.char(QUEUED, attempt) .. method .. money, '', charges, '')
  keep_payment(id, payment)
  local extension_ms = extension + (rate > 0 and math.floor(ahead * 1000 / rate) or 0)
  if extension_ms > 0 and byte(record, 2) ~= EXTENDED then
    record = lengthen(id, record, extension_ms)
  end
  if rate == 0 then
    job('start', id)
  else
    turns[#turns + 1] = string.format('%d', place)
    turns[#turns + 1] = id
    if not (queued and (places[id] or redis.call('ZSCORE', TURNS, id))) then
      places[#places + 1] = place
    end
    places[id] = true
  end
  return { DONE, record, payment, ahead }
end

local results = {}
for at = FIRST, #ARGV, LINE do
  results[#results + 1] = pay(ARGV[at], ARGV[at + 1], ARGV[at + 2])
end
if #turns > 0 and waiting == 0 then
  job('wake', '') -- workers wait for the stream, not for the turns
end
waiting_no_more = {} -- whoever begins anew keeps the turn
save()
save_payments()
write('ZADD', TURNS, turns)
return { now, results }
