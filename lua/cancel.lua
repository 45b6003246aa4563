#!lua flags=allow-oom
-- @include book
-- @include release
-- @include outcome
-- @include paying
--
-- cancel: ends one hold early, and its payment if there is one under way: a job tells the provider. A hold whose time is over
-- is expired instead. It may run when memory is full.
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
-- ARGV[3] reason, for the journal
--
-- Returns { outcome, now_ms, record ('' when unknown) }
--   outcome, in order of precedence: 2 UNKNOWN_RESERVATION, 3 ALREADY_CONFIRMED, 4 ALREADY_CANCELLED, 5 ALREADY_EXPIRED,
--   6 ALREADY_REFUNDED, 1 DONE

local id, reason = ARGV[2], ARGV[3]
local release_one, _, _, record_of, is_overdue = releasing()
local record = record_of(id)
if not record then
  return { UNKNOWN_RESERVATION, now, '' }
end
local already = ALREADY[string.byte(record)]
if already then
  return { already, now, record }
end
local outcome
if is_overdue(record) then
  release_one(id, record, EXPIRED, 'reservation.expired', id)
  outcome = ALREADY_EXPIRED
else
  release_one(id, record, CANCELLED, 'reservation.cancelled', id .. reason)
  outcome = DONE
  local payment_of, keep_payment, _, _, abandon = paying()
  local payment = payment_of(id)
  if payment and byte(payment) <= FAILED then
    abandon(id, payment)
    keep_payment(id, string.char(GIVEN_UP) .. sub(payment, 2))
  end
end
save()
save_payments()
return { outcome, now, record_of(id) }
