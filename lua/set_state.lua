#!lua flags=allow-oom
-- @include state
--
-- set_state: pauses, resumes or closes a sale. It may run when memory is full: a brand must be able to stop a sale.
--
-- KEYS[1] fs:{S}:sale          hash
-- KEYS[2] fs:{S}:stock         hash
-- KEYS[3] fs:{S}:customers     hash
-- KEYS[4] fs:{S}:reservations  hash
-- KEYS[5] fs:{S}:holds         zset
-- KEYS[6] fs:{S}:journal       stream
-- ARGV[1] now_ms, 0 for the server's TIME
-- ARGV[2] 'pause', 'resume' or 'close'
--
-- Returns { outcome, now_ms, state }
--   outcome, in order of precedence: 2 UNKNOWN_SALE, 3 ALREADY (it is in that state), 4 CLOSED (and stays so), 1 DONE

local DONE, UNKNOWN_SALE, ALREADY, CLOSED = 1, 2, 3, 4
local TARGET = { pause = 'paused', resume = 'open', close = 'closed' }
local FACT = { pause = 'sale.paused', resume = 'sale.resumed', close = 'sale.closed' }

local verb = ARGV[2]
local target = TARGET[verb]
if not state then
  return { UNKNOWN_SALE, now, '' }
end
keep_time()
local outcome = DONE
if state == target then
  outcome = ALREADY
elseif state == 'closed' then
  outcome = CLOSED
else
  set_state(target, FACT[verb], 'brand')
end
save()
return { outcome, now, state }
