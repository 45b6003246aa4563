#!lua flags=no-writes
-- @include clock
--
-- inspect: one consistent look at a sale, and at some of its customers and reservations.
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
-- ARGV[2] how many customers follow
-- ARGV[3..] customers, then reservation ids (their 16 characters)
--
-- Returns { now_ms, sale, stock, sizes, next_due_ms, entries, records, ends, payments, ahead }
--   sale: state, opens_ms, closes_ms, limit, hold_ms, version, seq, place, opened, orders (how often one was
--     made or undone), recovering (how many facts the archive has, while they are being brought back); all '' when there is no such sale
--   stock: field, value, ...
--   sizes: how many customers, reservations, holds, facts in the journal, payment jobs that are due and payments that wait for
--     their turn there are, and the first fact that is still in the journal (0: none); next_due_ms: when the earliest hold ends, 0 for none
--   entries of each customer asked for, records of each reservation asked for; '' when unknown
--   ends: the instant at which each reservation asked for ends as a hold, '' when it is not among the holds
--   payments: of each reservation asked for, '' when there is none; ahead: how many payments go before it, '' when it does not wait

local customers = tonumber(ARGV[2])

local function values(key, names)
  if #names == 0 then
    return {}
  end
  local found = redis.call('HMGET', key, unpack(names))
  for i = 1, #found do
    found[i] = found[i] or ''
  end
  return found
end

local tokens = { unpack(ARGV, 3 + customers) }
local ends = #tokens > 0 and redis.call('ZMSCORE', KEYS[5], unpack(tokens)) or {}
for i = 1, #ends do
  local score = ends[i] or ''
  ends[i] = type(score) == 'table' and string.format('%d', score.double) or score
end

local payments, ahead = values(KEYS[7], tokens), {}
for i = 1, #payments do
  ahead[i] = ''
  if string.byte(payments[i]) == 1 then
    local place = redis.call('ZSCORE', KEYS[9], tokens[i])
    place = type(place) == 'table' and string.format('%d', place.double) or place
    ahead[i] = place and redis.call('ZCOUNT', KEYS[9], '-inf', '(' .. place) or ''
  end
end

local first = redis.call('ZRANGE', KEYS[5], '0', '0', 'WITHSCORES')
local oldest = redis.call('XRANGE', KEYS[6], '-', '+', 'COUNT', '1')
return {
  now,
  values(KEYS[1], { 'state', 'opens_ms', 'closes_ms', 'limit', 'hold_ms', 'version', 'seq', 'place', 'opened', 'orders',
    'recovering' }),
  redis.call('HGETALL', KEYS[2]),
  { redis.call('HLEN', KEYS[3]), redis.call('HLEN', KEYS[4]), redis.call('ZCARD', KEYS[5]), redis.call('XLEN', KEYS[6]),
    redis.call('XLEN', KEYS[8]), redis.call('ZCARD', KEYS[9]), oldest[1] and tonumber(string.match(oldest[1][1], '^%d+')) or 0 },
  tonumber(first[2] or 0),
  values(KEYS[3], { unpack(ARGV, 3, 2 + customers) }),
  values(KEYS[4], tokens),
  ends,
  payments,
  ahead,
}
