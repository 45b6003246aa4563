-- @include book
--
-- releasing() makes the functions that end holds, and returns release_one, release_overdue, body_of, record_of, is_overdue, count:
-- release(id, record, body, target, kind, data): ends a hold. Its units go back to available, the customer's limit is
--   freed, the record keeps its place and lines under the new state, and one fact is appended.
-- release_one(id, record, target, kind, data): the same, and takes the id out of the holds.
-- release_overdue(limit): ends the holds whose time is over, oldest first, at most `limit`; returns how many.
-- body_of(record): { customer, sku, units, sku, units, ... }
-- record_of(id): the packed record, false when there is none.
-- is_overdue(record): whether this is a hold whose time is over, swept or not.
-- count(customer, id, units): from now on a reservation counts with so many units (4 bytes) against the limits.
-- rewrite(id, record, target): puts the reservation into another state.

local function releasing()
  local function body_of(record)
    return cmsgpack.unpack(string.sub(record, HEADER_BYTES + 1))
  end

  local function record_of(id)
    local record = records[id]
    if record == nil then
      record = redis.call('HGET', RESERVATIONS, id)
      records[id] = record
    end
    return record
  end

  local function is_overdue(record)
    return string.byte(record) == HELD and struct.unpack('>I6', record, 9) <= now
  end

  local function count(customer, id, units)
    local entries = customers[customer]
    if entries == nil then
      entries = redis.call('HGET', CUSTOMERS, customer)
    end
    entries = entries or ''
    local first = 1
    while first <= #entries and string.sub(entries, first, first + ID_BYTES - 1) ~= id do
      first = first + ENTRY_BYTES
    end
    -- One that is not there has been dropped long ago, or somebody has damaged the entries: the audit tells.
    entries = string.sub(entries, 1, first - 1) .. id .. units .. string.sub(entries, first + ENTRY_BYTES)
    customers[customer] = entries
    customer_writes[customer_count + 1], customer_writes[customer_count + 2] = customer, entries
    customer_count = customer_count + 2
  end

  local function rewrite(id, record, target)
    record = string.char(target) .. string.sub(record, 2)
    records[id] = record
    record_writes[record_count + 1], record_writes[record_count + 2] = id, record
    record_count = record_count + 2
    return record
  end

  local function release(id, record, body, target, kind, data)
    for i = 2, #body, 2 do
      local item = item_of(body[i])
      item.available = item.available + body[i + 1]
      item.held = item.held - body[i + 1]
      changed[body[i]] = item
    end
    count(body[1], id, NO_UNITS)
    rewrite(id, record, target)
    fact(kind, data)
  end

  local function release_one(id, record, target, kind, data)
    removals[#removals + 1] = id
    release(id, record, body_of(record), target, kind, data)
  end

  local function release_overdue(limit)
    local ids = redis.call('ZRANGEBYSCORE', HOLDS, '-inf', now_text, 'LIMIT', string.format('%d', overdue_seen), limit)
    local n = #ids
    if n == 0 then
      return 0
    end
    local bodies, unknown = {}, {}
    local packed = redis.call('HMGET', RESERVATIONS, unpack(ids))
    for i = 1, n do
      -- Not those that this call has ended one by one, nor one whose record somebody has deleted: the audit names that.
      local record = packed[i] and (records[ids[i]] or packed[i])
      local body = record and string.byte(record) == HELD and body_of(record)
      bodies[i] = body
      if body and customers[body[1]] == nil then
        unknown[#unknown + 1] = body[1]
      end
    end
    if #unknown > 0 then
      local values = redis.call('HMGET', CUSTOMERS, unpack(unknown))
      for i = 1, #unknown do
        customers[unknown[i]] = values[i]
      end
    end
    for i = 1, n do
      if bodies[i] then
        release(ids[i], packed[i], bodies[i], EXPIRED, 'reservation.expired', ids[i])
      end
    end
    overdue_seen = overdue_seen + n
    return n
  end

  return release_one, release_overdue, body_of, record_of, is_overdue, count, rewrite
end
