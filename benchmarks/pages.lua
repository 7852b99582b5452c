-- For wrk: GET the paths of a file, one a line, again and again; a tab and a header may follow each:
--   wrk -s pages.lua URL -- FILE

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")

function init(args)
  sent = -1 -- wrk calls request() once more than it sends
  requests_ready = {}
  for line in io.lines(args[1]) do
    local path, header = line:match("^([^\t]*)\t?(.*)$")
    requests_ready[#requests_ready + 1] = "GET " .. path .. " HTTP/1.1\r\nHost: "
      .. wrk.headers["Host"] .. "\r\n" .. (header == "" and "" or header .. "\r\n") .. "\r\n"
  end
end

function request()
  sent = sent + 1
  return requests_ready[sent % #requests_ready + 1]
end
