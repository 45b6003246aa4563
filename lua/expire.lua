#!lua flags=allow-oom
-- @include state
-- @include release
--
-- expire: ends a batch of overdue holds, oldest first, and records what the clock alone has changed (the sale opened, the
-- sale closed). Any number of sweepers may call it side by side. It may run when memory is full: it gives units back.
--
-- KEYS[1] fs:{S}:sale          hash
-- KEYS[2] fs:{S}:stock         hash
-- KEYS[3] fs:{S}:customers     hash
-- KEYS[4] fs:{S}:reservations  hash
-- KEYS[5] fs:{S}:holds         zset
-- KEYS[6] fs:{S}:journal       stream
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2] how many holds at most
--
-- Returns { now_ms, expired, next_due_ms (when the earliest remaining hold ends; 0: none), state ('' when there is no sale) }

local expired = 0
if state then
  local _, release_overdue = releasing()
  keep_time()
  expired = release_overdue(ARGV[2])
  save()
end
local first = redis.call('ZRANGE', HOLDS, '0', '0', 'WITHSCORES')
return { now, expired, tonumber(first[2] or 0), state or '' }
