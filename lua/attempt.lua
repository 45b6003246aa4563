#!lua
-- @include book
-- @include paying
--
-- attempt: records what has become of one attempt at the provider: what the customer has to do, or that it failed.
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
-- ARGV[3] number of the attempt
-- ARGV[4] status: 2 requires action, 3 processing, 4 failed, 5 cancelled
-- ARGV[5] reference at the provider, '' to keep the one there is
-- ARGV[6] details, MessagePack or ''
-- ARGV[7] consumer group of the jobs
-- ARGV[8] entry of the payments stream that is done with it, '' for none: it is acknowledged only if the outcome is 1 DONE
--
-- Returns { outcome, now_ms, record ('' when unknown), payment ('' when there is none) }
--   outcome, in order of precedence: 2 UNKNOWN_PAYMENT, 3 SUPERSEDED (another attempt is the present one), 4 OVER (it is paid,
--   given back or given up, or the hold has ended before the customer could be asked), 1 DONE

local DONE, UNKNOWN_PAYMENT, SUPERSEDED, OVER = 1, 2, 3, 4

local id, status, reference = ARGV[2], tonumber(ARGV[4]), ARGV[5]
local _, _, _, record_of, is_overdue = releasing()
local payment_of, keep_payment, parts_of, packed_payment = paying()
local payment, record = payment_of(id), record_of(id)
if not payment then
  return { UNKNOWN_PAYMENT, now, record or '', '' }
end
if byte(payment, 2) ~= tonumber(ARGV[3]) then
  return { SUPERSEDED, now, record or '', payment }
end
if byte(payment) > FAILED then
  return { OVER, now, record or '', payment }
end
local outcome = DONE
if status <= PROCESSING and (not record or byte(record) ~= HELD or is_overdue(record)) then
  outcome, status = OVER, GIVEN_UP
end
local known, charges = parts_of(payment)
keep_payment(id, packed_payment(string.char(status) .. sub(payment, 2, 12), reference == '' and known or reference, charges,
  ARGV[6]))
waiting_no_more = { id }
save_payments()
if outcome == DONE and ARGV[8] ~= '' then
  redis.call('XACK', PAYMENTS, ARGV[7], ARGV[8])
  redis.call('XDEL', PAYMENTS, ARGV[8])
end
return { outcome, now, record or '', payments[id] }
