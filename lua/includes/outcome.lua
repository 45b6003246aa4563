-- @include release
--
-- What cancel, extend and their like answer about one reservation, and the states in which it is too late for them.

local DONE, UNKNOWN_RESERVATION, ALREADY_CONFIRMED, ALREADY_CANCELLED, ALREADY_EXPIRED, ALREADY_REFUNDED = 1, 2, 3, 4, 5, 6
local ALREADY = { [CONFIRMED] = ALREADY_CONFIRMED, [CANCELLED] = ALREADY_CANCELLED, [EXPIRED] = ALREADY_EXPIRED,
  [REFUNDED] = ALREADY_REFUNDED }
