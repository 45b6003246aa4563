-- write(command, key, args): one variadic command for many elements, in pieces that fit Lua's stack (8,000 slots).
-- PIECE is even, so that field and value, or score and member, stay together.
local PIECE = 4000

local function write(command, key, args)
  local n = #args
  if n == 0 then
    return
  end
  if n <= PIECE then
    redis.call(command, key, unpack(args))
    return
  end
  for first = 1, n, PIECE do
    redis.call(command, key, unpack(args, first, math.min(first + PIECE - 1, n)))
  end
end
