#!lua
-- @include book
-- @include paying
--
-- settle: records that the provider has given a charge back. The job that did it is acknowledged with it.
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
-- ARGV[3] reference of the charge
-- ARGV[4] the refund's own id at the provider
-- ARGV[5] consumer group of the jobs
-- ARGV[6] entry of the payments stream that is done with it, '' for none
--
-- Returns { outcome, now_ms, payment ('' when there is none) }
--   outcome, in order of precedence: 2 UNKNOWN_CHARGE, 3 IS_ORDER (nobody has asked for it back), 4 ALREADY_SETTLED, 1 DONE

local DONE, UNKNOWN_CHARGE, IS_ORDER, ALREADY_SETTLED = 1, 2, 3, 4

local id, reference = ARGV[2], ARGV[3]
local payment_of, keep_payment, parts_of, packed_payment = paying()
local payment = payment_of(id)
local outcome = UNKNOWN_CHARGE
if payment then
  local known, charges, details = parts_of(payment)
  local kept, at, left = '', 1, 0
  while at <= #charges do
    local next_at = at + CHARGE_BYTES + byte(charges, at + CHARGE_BYTES - 1)
    local fate = byte(charges, at)
    if sub(charges, at + CHARGE_BYTES, next_at - 1) == reference then
      outcome = fate == ORDER and IS_ORDER or fate == GIVEN_BACK and ALREADY_SETTLED or DONE
      fate = outcome == DONE and GIVEN_BACK or fate
    end
    left = left + (fate == GIVEN_BACK and 0 or 1)
    kept = kept .. string.char(fate) .. sub(charges, at + 1, next_at - 1)
    at = next_at
  end
  if outcome == DONE then
    local status = byte(payment)
    status = status == REFUNDING and left == 0 and RETURNED or status
    keep_payment(id, packed_payment(string.char(status) .. sub(payment, 2, HEAD_BYTES), known, kept, details))
    fact('charge.refunded', id .. string.char(#reference) .. reference .. ARGV[4])
  end
end
save()
save_payments()
if ARGV[6] ~= '' then
  redis.call('XACK', PAYMENTS, ARGV[5], ARGV[6])
  redis.call('XDEL', PAYMENTS, ARGV[6])
end
return { outcome, now, payments[id] or '' }
