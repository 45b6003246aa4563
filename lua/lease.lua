#!lua flags=allow-oom
--
-- lease: lets one worker at a time deliver a webhook. It is taken, renewed and given back by the same call; only its owner
-- can do the last two.
--
-- KEYS[1] fs:{W}:lease  string
-- ARGV[1] ttl_ms, how long it lasts from now; 0 gives it back
-- ARGV[2] owner
-- ARGV[3] 1 to take it if nobody has it, 0 only to renew it
--
-- Returns 1 when the owner has it, or had it to give back, otherwise 0

local LEASE = KEYS[1]

local owner = redis.call('GET', LEASE)
if owner == ARGV[2] then
  if ARGV[1] == '0' then
    redis.call('DEL', LEASE)
  else
    redis.call('PEXPIRE', LEASE, ARGV[1])
  end
  return 1
end
if owner or ARGV[3] ~= '1' then
  return 0
end
redis.call('SET', LEASE, ARGV[2], 'PX', ARGV[1])
return 1
