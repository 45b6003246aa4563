#!lua
-- @include book
-- @include paying
--
-- attempt: records what has become of attempts at the provider: what the customer has to do, or that it failed.
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
-- ARGV[2] consumer group of the jobs
-- ARGV[3..] of each attempt: reservation id; number of the attempt; status: 2 requires action, 3 processing, 4 failed, 5 cancelled;
--   reference at the provider, '' to keep the one there is; details, MessagePack or ''; entry of the payments stream that is
--   done with it, '' for none: it is acknowledged only if the outcome is DONE
--
-- Returns { now_ms, { outcome, record ('' when unknown), payment ('' when there is none) } of each attempt }
--   outcome, in order of precedence: 2 UNKNOWN_PAYMENT, 3 SUPERSEDED (another attempt is the present one), 4 OVER (it is paid,
--   given back or given up, or the hold has ended before the customer could be asked), 1 DONE

local DONE, UNKNOWN_PAYMENT, SUPERSEDED, OVER = 1, 2, 3, 4
local FIRST, LINE = 3, 6

local _, _, _, record_of, is_overdue = releasing()
local payment_of, keep_payment, parts_of, packed_payment = paying()

local function attempt(id, number, status, reference, details)
  local payment, record = payment_of(id), record_of(id)
  if not payment then
    return { UNKNOWN_PAYMENT, record or '', '' }
  end
  if byte(payment, 2) ~= number then
    return { SUPERSEDED, record or '', payment }
  end
  if byte(payment) > FAILED then
    return { OVER, record or '', payment }
  end
  local outcome = DONE
  if status <= PROCESSING and (not record or byte(record) ~= HELD or is_overdue(record)) then
    outcome, status = OVER, GIVEN_UP
  end
  local known, charges = parts_of(payment)
  keep_payment(id, packed_payment(string.char(status) .. sub(payment, 2, HEAD_BYTES), reference == '' and known or reference, charges,
    details))
  if byte(payment) == QUEUED then
    waiting_no_more[#waiting_no_more + 1] = id
  end
  return { outcome, record or '', payments[id] }
end

local results, done = {}, {}
for at = FIRST, #ARGV, LINE do
  local result = attempt(ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3], ARGV[at + 4])
  results[#results + 1] = result
  if result[1] == DONE and ARGV[at + 5] ~= '' then
    done[#done + 1] = ARGV[at + 5]
  end
end
save_payments()
if #done > 0 then
  redis.call('XACK', PAYMENTS, ARGV[2], unpack(done))
  redis.call('XDEL', PAYMENTS, unpack(done))
end
return { now, results }
