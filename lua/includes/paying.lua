-- @include release
--
-- The payments of reservations while a script runs: records (flashsale/model/payment.py), and the jobs that follow from what
-- is decided. Jobs are put into the stream by save_payments(), after save().
--
-- Needs KEYS[7..9] = attempts, payments, turns.

local ATTEMPTS, PAYMENTS, TURNS = KEYS[7], KEYS[8], KEYS[9]

-- Status of a payment: the first byte of its record.
local QUEUED, REQUIRES_ACTION, PROCESSING, FAILED, GIVEN_UP, PAID, REFUNDING, RETURNED = 1, 2, 3, 4, 5, 6, 7, 8
-- Fate of a charge: the first byte of its entry.
local ORDER, GIVING_BACK, GIVEN_BACK = 1, 2, 3
local HEAD_BYTES = 13 -- status, attempt, method, money (ten bytes)
local PAYMENT_BYTES = 16 -- before the reference: status, attempt, method, money, reference length, charges length
local MOST_CHARGES_BYTES = 65535 -- of a record; more would be cut off without a word
local CHARGE_BYTES = 12 -- before a charge's reference: fate, money, reference length

local jobs, job_count = {}, 0 -- kind and payload of each
local payments = {} -- id -> packed record; false when there is none
local payment_writes, payment_count = {}, 0 -- arguments of HSET
local waiting_no_more = {} -- ids to take out of the turns

-- paying() makes the functions that most calls of confirm do not need, and returns
-- payment_of(id): the packed record, false when there is none.
-- keep_payment(id, payment): writes it.
-- parts_of(payment): the reference of the present attempt, the packed charges, and what follows them.
-- packed_payment(head, reference, charges, details): a record; its head is status, attempt, method and money.
-- abandon(id, payment): sees that the present attempt takes no money any more: it loses its turn, the provider is told.
-- job(kind, payload): queues a job.
local function paying()
  local function job(kind, payload)
    jobs[job_count + 1], jobs[job_count + 2] = kind, payload
    job_count = job_count + 2
  end

  local function payment_of(id)
    local payment = payments[id]
    if payment == nil then
      payment = redis.call('HGET', ATTEMPTS, id)
      payments[id] = payment
    end
    return payment
  end

  local function keep_payment(id, payment)
    payments[id] = payment
    payment_writes[payment_count + 1], payment_writes[payment_count + 2] = id, payment
    payment_count = payment_count + 2
  end

  local function parts_of(payment)
    local charges_at = PAYMENT_BYTES + 1 + byte(payment, HEAD_BYTES + 1)
    local details_at = charges_at + byte(payment, HEAD_BYTES + 2) * 256 + byte(payment, PAYMENT_BYTES)
    return sub(payment, PAYMENT_BYTES + 1, charges_at - 1), sub(payment, charges_at, details_at - 1), sub(payment, details_at)
  end

  local function packed_payment(head, reference, charges, details)
    if #charges > MOST_CHARGES_BYTES then
      error('a payment record has no room for another charge')
    end
    return head .. struct.pack('>BI2', #reference, #charges) .. reference .. charges .. details
  end

  local function abandon(id, payment)
    local status = byte(payment)
    if status > FAILED then
      return
    end
    if status == QUEUED then
      waiting_no_more[#waiting_no_more + 1] = id
    end
    local length = byte(payment, HEAD_BYTES + 1)
    if length > 0 then
      job('void', id .. sub(payment, 2, 2) .. sub(payment, PAYMENT_BYTES + 1, PAYMENT_BYTES + length))
    end
  end

  return payment_of, keep_payment, parts_of, packed_payment, abandon, job
end

local function save_payments()
  write('HSET', ATTEMPTS, payment_writes)
  write('ZREM', TURNS, waiting_no_more)
  for i = 1, job_count, 2 do
    redis_call('XADD', PAYMENTS, '*', jobs[i], jobs[i + 1])
  end
end
