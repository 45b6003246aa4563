-- @include release
--
-- claiming() makes the functions that decide whether a customer may have more units, and returns
-- broken_limit(customer, lines): the limit that these lines ({ [2] = sku, [3] = units, ... }) would break on top of what the
--   customer has: '' for the sale's, a sku for an item's, nil for none. Every sku must have been read with item_of().
-- reclaim(item, units): takes overdue holds back until the item has so many, at most ARGV[2] a call; returns nil,
--   SHORT when there are too few, or ASK_AGAIN when this call has done its share.
-- units_of(customer, sku, held): units that count against a limit; of all skus when sku is nil, of holds only when held.

local SHORT, ASK_AGAIN = 1, 2

local function claiming()
  local release_one, release_overdue, body_of, record_of, is_overdue = releasing()

  local function units_of(customer, sku, held)
    local entries, units = customers[customer] or '', 0
    for first = 1, #entries, ENTRY_BYTES do
      local counted = struct.unpack('>I4', entries, first + ID_BYTES)
      if counted > 0 and sku then
        local record = record_of(string.sub(entries, first, first + ID_BYTES - 1))
        local lines = record and (not held or byte(record) == HELD) and body_of(record) or {}
        counted = 0
        for i = 2, #lines, 2 do
          if lines[i] == sku then
            counted = lines[i + 1]
          end
        end
      end
      units = units + counted
    end
    return units
  end

  local function over_limit(customer, lines)
    local units = 0
    for i = 2, #lines, 2 do
      units = units + lines[i + 1]
      local most = items[lines[i]].limit
      if most > 0 and lines[i + 1] + units_of(customer, lines[i]) > most then
        return lines[i]
      end
    end
    return limit > 0 and units + units_of(customer) > limit and '' or nil
  end

  -- The customer's own overdue holds must not count against the limit until a sweeper comes by.
  local function broken_limit(customer, lines)
    local broken = over_limit(customer, lines)
    if not broken then
      return nil
    end
    local entries = customers[customer] or ''
    for first = 1, #entries, ENTRY_BYTES do
      local id = string.sub(entries, first, first + ID_BYTES - 1)
      local record = record_of(id)
      if record and is_overdue(record) then
        release_one(id, record, EXPIRED, 'reservation.expired', id)
      end
    end
    return over_limit(customer, lines)
  end

  local function reclaim(item, units)
    while item.available < units do
      local left = tonumber(ARGV[2])
      if left <= 0 then
        return redis.call('ZCOUNT', HOLDS, '-inf', now_text) > overdue_seen and ASK_AGAIN or SHORT
      end
      local ended = release_overdue(string.format('%d', math.min(left, 100)))
      if ended == 0 then
        nothing_overdue = true
        return SHORT
      end
      ARGV[2] = left - ended
    end
    return nil
  end

  return broken_limit, reclaim, units_of
end
