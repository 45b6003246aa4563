-- wrk script: every request is another customer with a token of its own, read from the file named by TOKENS.
local tokens = {}
for line in io.lines(os.getenv("TOKENS")) do
  tokens[#tokens + 1] = line
end
local body = '{"items":[{"sku":"giulia","quantity":1}]}'
local path = os.getenv("TARGET")
local at = 0

function request()
  at = at + 1
  return wrk.format("POST", path, {
    ["Authorization"] = "Bearer " .. (tokens[at] or "none-left"),
    ["Content-Type"] = "application/json",
  }, body)
end

-- wrk counts answers that are not 2xx or 3xx by itself.
function done(summary, latency)
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
