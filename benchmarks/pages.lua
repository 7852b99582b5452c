-- For wrk: GET the paths of a file, one a line, again and again:
--   wrk -s pages.lua URL -- FILE

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")

function init(args)
  sent = -1 -- wrk calls request() once more than it sends
  requests_ready = {}
  for path in io.lines(args[1]) do
    requests_ready[#requests_ready + 1] =
      "GET " .. path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n\r\n"
  end
end

function request()
  sent = sent + 1
  return requests_ready[sent % #requests_ready + 1]
end
