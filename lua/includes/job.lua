-- unpacked(job): kind, payload and tries of a job as it is kept outside the stream (flashsale/model/jobs.py):
--   kind length 1 | kind | tries 2 | payload
local function unpacked(job)
  local kind_ends = 1 + string.byte(job)
  local tries = struct.unpack('>I2', job, kind_ends + 1)
  return string.sub(job, 2, kind_ends), string.sub(job, kind_ends + 3), tries
end
