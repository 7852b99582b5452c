-- Print the result of a run of wrk as one line of JSON. `sent` counts the calls of request().

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  threads[#threads + 1] = thread
end

function done(summary, latency)
  local sent = 0
  for _, thread in ipairs(threads) do sent = sent + thread:get("sent") end
  io.write(string.format(
    '\n{"requests":%d,"sent":%d,"microseconds":%d,"connect":%d,"read":%d,"write":%d,"status":%d,'
      .. '"timeout":%d,"p50":%d,"p99":%d}\n',
    summary.requests, sent, summary.duration, summary.errors.connect, summary.errors.read,
    summary.errors.write, summary.errors.status, summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
