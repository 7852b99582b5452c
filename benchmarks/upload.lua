-- For wrk: uploads of 4 KiB as multipart forms:
--   wrk -s upload.lua URL -- RUN [keys]
-- Every request has its own bytes and its own name, and all have the same length. A request is one
-- concatenation of prepared pieces, so that the generator is never the bottleneck.
-- RUN (eight characters) makes the names of a run unique; `keys` adds an Idempotency-Key to each.

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")

local SIZE = 4096
local UPLOADS_A_JOB = 100
local NODES = 20
local BOUNDARY = "----asset-ledger-benchmark"

local FILE = "--" .. BOUNDARY .. "\r\n"
  .. 'Content-Disposition: form-data; name="file"; filename="output.png"\r\n'
  .. "Content-Type: image/png\r\n\r\n"
local JSON = "\r\n--" .. BOUNDARY .. "\r\n"
  .. 'Content-Disposition: form-data; name="json"\r\n\r\n{"name":"output_'
local END = '"}\r\n--' .. BOUNDARY .. "--\r\n"

local function random_bytes(count)
  math.randomseed(1)
  local bytes = {}
  for i = 1, count do bytes[i] = string.char(math.random(0, 255)) end
  return table.concat(bytes)
end

local function body(mark, job, node)
  return FILE .. mark .. tail .. JSON .. mark
    .. '.png","content_type":"image/png","node_id":"node_' .. node
    .. '","job_id":"job_' .. job .. '","workflow_id":"workflow_' .. run .. END
end

local function next_body()
  sent = sent + 1
  local mark = string.format("%s-%02d-%08d", run, number, sent)
  local job = string.format("%s-%02d-%06d", run, number, sent / UPLOADS_A_JOB)
  return mark, body(mark, job, string.format("%02d", sent % NODES))
end

function init(args)
  run, sent, tail, with_keys = args[1], 0, "", args[2] == "keys"
  local mark, sample = next_body()
  tail = random_bytes(SIZE - #mark)
  head = "POST /api/assets/ HTTP/1.1\r\nHost: " .. wrk.headers["Host"]
    .. "\r\nAuthorization: Bearer benchmark"
    .. "\r\nContent-Type: multipart/form-data; boundary=" .. BOUNDARY
    .. "\r\nContent-Length: " .. #sample + #tail .. "\r\n"
  sent = -1 -- wrk calls request() once more than it sends
end

function request()
  local mark, bytes = next_body()
  local key = with_keys and "Idempotency-Key: " .. mark .. "\r\n" or ""
  return head .. key .. "\r\n" .. bytes
end
