-- For wrk: seven GETs of the paths of a file for three uploads of 4 KiB:
--   wrk -s mixed.lua URL -- RUN FILE

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "upload.lua")

local start_uploads, upload = init, request
local calls, lists = 0, {}

function init(args)
  start_uploads({ args[1] })
  for path in io.lines(args[2]) do
    lists[#lists + 1] = "GET " .. path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n\r\n"
  end
end

function request()
  calls = calls + 1
  if calls % 10 < 3 then return upload() end
  return lists[calls % #lists + 1]
end
