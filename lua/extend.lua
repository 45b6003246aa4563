#!lua
-- @include book
-- @include lengthen
-- @include outcome
--
-- extend: moves the end of one hold, once in its life. A hold whose time is over is expired instead.
--
-- KEYS[1] fs:{S}:sale          hash
-- KEYS[2] fs:{S}:stock         hash
-- KEYS[3] fs:{S}:customers     hash
-- KEYS[4] fs:{S}:reservations  hash
-- KEYS[5] fs:{S}:holds         zset
-- KEYS[6] fs:{S}:journal       stream
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2] reservation id (its 16 characters)
-- ARGV[3] extension_ms
--
-- Returns { outcome, now_ms, record ('' when unknown) }
--   outcome, in order of precedence: 2 UNKNOWN_RESERVATION, 3 ALREADY_CONFIRMED, 4 ALREADY_CANCELLED, 5 ALREADY_EXPIRED,
--   6 ALREADY_REFUNDED, 7 ALREADY_EXTENDED, 1 DONE

local ALREADY_EXTENDED = 7

local id, extension_ms = ARGV[2], tonumber(ARGV[3])
local release_one, _, _, record_of, is_overdue = releasing()
local record = record_of(id)
if not record then
  return { UNKNOWN_RESERVATION, now, '' }
end
local already = ALREADY[string.byte(record)]
if already then
  return { already, now, record }
end
if is_overdue(record) then
  release_one(id, record, EXPIRED, 'reservation.expired', id)
  save()
  return { ALREADY_EXPIRED, now, record_of(id) }
end
if string.byte(record, 2) == EXTENDED then
  return { ALREADY_EXTENDED, now, record }
end
record = lengthen(id, record, extension_ms)
save()
return { DONE, now, record }
