-- @include release
--
-- lengthen(id, record, ms): moves the end of a hold, and marks it as extended; returns the record.

local EXTENDED = 1 -- bit of the flags byte

local function lengthen(id, record, ms)
  local held_until = struct.unpack('>I6', record, 9) + ms
  local packed = struct.pack('>I6', held_until)
  record = string.char(HELD, EXTENDED) .. string.sub(record, 3, 8) .. packed .. string.sub(record, 15)
  records[id] = record
  record_writes[record_count + 1], record_writes[record_count + 2] = id, record
  record_count = record_count + 2
  hold_writes[#hold_writes + 1] = string.format('%d', held_until)
  hold_writes[#hold_writes + 1] = id
  fact('reservation.extended', id .. packed)
  return record
end
