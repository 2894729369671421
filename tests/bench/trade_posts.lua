-- wrk's script of tests/bench/trade_reads.py: each request is one trade with an id of its own.
-- The ids have leading zeros, so that their order is the order in which they are sent.
local headers = { ["Content-Type"] = "application/json" }
local run = os.time()
local sent = 0

function request()
  sent = sent + 1
  local body = string.format(
    '{"asset":"btcusdt","price":77896.49,"volume":0.0421,"venue":"exchange1","side":"buy","timestamp":%d,"id":"p%d-%08d"}',
    os.time(), run, sent)
  return wrk.format("POST", nil, headers, body)
end
