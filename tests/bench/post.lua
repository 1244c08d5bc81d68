-- Posts one body over and over. Arguments after `--`: the file that holds it, and headers as name and
-- value in turn (Content-Type: application/json where there are none). Ends with a line that
-- bench.py reads: requests, microseconds, and what went wrong.

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wrk.method = "POST"
   for i = 2, #args, 2 do
      wrk.headers[args[i]] = args[i + 1]
   end
   wrk.headers["Content-Type"] = wrk.headers["Content-Type"] or "application/json"
   wrk.body = file:read("*a")
   file:close()
   request_bytes = wrk.format()
end

function request()
   return request_bytes
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format("result requests=%d us=%d p50_us=%d p99_us=%d ",
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99)))
   io.write(string.format("connect=%d read=%d write=%d timeout=%d status=%d\n",
      e.connect, e.read, e.write, e.timeout, e.status))
end
