#!lua
-- @include book
-- @include lengthen
-- @include outcome
-- @include paying
--
-- pay: queues a payment of one hold, as a new attempt. Where the provider takes only so many a second it waits for its turn,
-- in the order of places. The first attempt of a reservation extends its hold, by the sale's extension and by the wait that
-- is to be expected. An attempt under way with another method is given up.
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
-- ARGV[2] reservation id (its 16 characters)
-- ARGV[3] method, one byte
-- ARGV[4] money that is due, nine bytes
-- ARGV[5] extension_ms of the sale, 0 for none
-- ARGV[6] payments a second that the provider takes, 0 for any number
-- ARGV[7] how many payments and jobs may wait in the sale's queue
--
-- Returns { outcome, now_ms, record ('' when unknown), payment ('' when there is none), ahead (payments before this one) }
--   outcome, in order of precedence: 2 UNKNOWN_RESERVATION, 3 ALREADY_CONFIRMED, 4 ALREADY_CANCELLED, 5 ALREADY_EXPIRED,
--   6 ALREADY_REFUNDED, 7 UNDER_WAY (with this method; nothing was changed), 8 TOO_MANY_ATTEMPTS, 9 BUSY, 1 DONE

local UNDER_WAY, TOO_MANY_ATTEMPTS, BUSY = 7, 8, 9
local MOST_ATTEMPTS = 20

local id, method, money, rate = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[6])
local release_one, _, _, record_of, is_overdue = releasing()
local payment_of, keep_payment, parts_of, packed_payment, abandon, job = paying()
local record = record_of(id)
if not record then
  return { UNKNOWN_RESERVATION, now, '', '', 0 }
end
local payment = payment_of(id)
local already = ALREADY[byte(record)]
if already then
  return { already, now, record, payment or '', 0 }
end
if is_overdue(record) then
  release_one(id, record, EXPIRED, 'reservation.expired', id)
  save()
  return { ALREADY_EXPIRED, now, record_of(id), payment or '', 0 }
end

local place = string.format('%d', struct.unpack('>I6', record, 15))
local ahead = redis.call('ZCOUNT', TURNS, '-inf', '(' .. place)
local attempt, charges = 1, ''
if payment then
  local status = byte(payment)
  if status <= PROCESSING and sub(payment, 3, 3) == method then
    return { UNDER_WAY, now, record, payment, status == QUEUED and ahead or 0 }
  end
  attempt = byte(payment, 2) + 1
  if attempt > MOST_ATTEMPTS then
    return { TOO_MANY_ATTEMPTS, now, record, payment, 0 }
  end
  local _
  _, charges = parts_of(payment)
end
if redis.call('XLEN', PAYMENTS) + redis.call('ZCARD', TURNS) >= tonumber(ARGV[7]) then
  return { BUSY, now, record, payment or '', 0 }
end

if payment then
  abandon(id, payment)
  waiting_no_more = {} -- it keeps its turn, for the new attempt
end
payment = packed_payment(string.char(QUEUED, attempt) .. method .. money, '', charges, '')
keep_payment(id, payment)
local extension_ms = tonumber(ARGV[5]) + (rate > 0 and math.floor(ahead * 1000 / rate) or 0)
if extension_ms > 0 and byte(record, 2) ~= EXTENDED then
  record = lengthen(id, record, extension_ms)
end
local wakes = rate > 0 and redis.call('ZCARD', TURNS) == 0
if rate == 0 then
  job('start', id)
elseif wakes then
  job('wake', '') -- workers wait for the stream, not for the turns
end
save()
save_payments()
if rate > 0 then
  redis.call('ZADD', TURNS, place, id)
end
return { DONE, now, record, payment, ahead }
