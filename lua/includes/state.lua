-- @include book
--
-- set_state(target, kind, data): puts the sale into another state and says so in the journal.
-- keep_time(): closes the sale when its time is over.

local function set_state(target, kind, data)
  state = target
  sale_writes[#sale_writes + 1] = 'state'
  sale_writes[#sale_writes + 1] = target
  fact(kind, data)
end

local function keep_time()
  if state and state ~= 'closed' and over then
    set_state('closed', 'sale.closed', 'closes_at')
  end
end
