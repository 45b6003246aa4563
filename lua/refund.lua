#!lua
-- @include book
-- @include paying
--
-- refund: undoes an order: its charge is to be given back, and its units go back on sale if they may.
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
-- ARGV[3] 1 when the units go back on sale, 0 when they stay sold
-- ARGV[4] reason, for the journal
--
-- Returns { outcome, now_ms, record ('' when unknown), payment ('' when there is none) }
--   outcome, in order of precedence: 2 UNKNOWN_RESERVATION, 3 NOT_CONFIRMED, 4 ALREADY_REFUNDED, 1 DONE

local DONE, UNKNOWN_RESERVATION, NOT_CONFIRMED, ALREADY_REFUNDED = 1, 2, 3, 4
local NO_CHARGE = string.rep('\0', 12) -- method, money and length of the reference, where somebody has deleted the payment

local id, restock = ARGV[2], ARGV[3] == '1'
local _, _, body_of, record_of, _, count, rewrite = releasing()
local payment_of, keep_payment, parts_of, packed_payment, _, job = paying()
local record, payment = record_of(id), payment_of(id)
if not record then
  return { UNKNOWN_RESERVATION, now, '', payment or '' }
end
local status = byte(record)
if status ~= CONFIRMED then
  return { status == REFUNDED and ALREADY_REFUNDED or NOT_CONFIRMED, now, record, payment or '' }
end
local lines = body_of(record)
if restock then
  for i = 2, #lines, 2 do
    local item = item_of(lines[i])
    item.available = item.available + lines[i + 1]
    changed[lines[i]] = item
  end
end
count(lines[1], id, NO_UNITS)
record = rewrite(id, record, REFUNDED)
local undone = NO_CHARGE
if payment then
  local reference, charges, details = parts_of(payment)
  local kept, at = '', 1
  while at <= #charges do
    local next_at = at + CHARGE_BYTES + byte(charges, at + CHARGE_BYTES - 1)
    local fate = byte(charges, at)
    if fate == ORDER then
      undone = sub(payment, 3, 3) .. sub(charges, at + 1, next_at - 1)
      job('refund', id .. sub(undone, 2))
      fate = GIVING_BACK
    end
    kept = kept .. string.char(fate) .. sub(charges, at + 1, next_at - 1)
    at = next_at
  end
  keep_payment(id, packed_payment(string.char(REFUNDING) .. sub(payment, 2, HEAD_BYTES), reference, kept, details))
end
order_fact('reservation.refunded', id, ARGV[3] .. undone .. ARGV[4])
save()
if restock then
  for i = 2, #lines, 2 do
    redis.call('HINCRBY', STOCK, 'sold:' .. lines[i], -lines[i + 1])
  end
end
save_payments()
return { DONE, now, record, payments[id] or '' }
