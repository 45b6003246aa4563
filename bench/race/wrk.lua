-- wrk script: every request is another customer. All requests are rendered before the first one is sent.
--
-- RACE_TOKENS  file with a token a line
-- RACE_SKIP    how many of them to leave to others
-- RACE_TAKE    how many to take
-- RACE_PATH    path of the request
-- RACE_BODIES  their bodies, one a line, in turn
local requests, at = {}, 0

function init()
  local skip, take = tonumber(os.getenv("RACE_SKIP")), tonumber(os.getenv("RACE_TAKE"))
  local head = "POST " .. os.getenv("RACE_PATH") .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
  local tails = {}
  for body in string.gmatch(os.getenv("RACE_BODIES"), "[^\n]+") do
    tails[#tails + 1] = "\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
  end
  local number = 0
  for line in io.lines(os.getenv("RACE_TOKENS")) do
    number = number + 1
    if number > skip + take then
      break
    elseif number > skip then
      requests[number - skip] = head .. line .. tails[number % #tails + 1]
    end
  end
  io.stderr:write("READY\n")
end

-- After the last customer the first one comes again, and is told of the limit: the race counts that as a fault.
function request()
  at = at + 1
  if at > #requests then
    at = 1
  end
  return requests[at]
end

-- Statuses of 400 and more are counted by wrk itself.
function done(summary, latency)
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
