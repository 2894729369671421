-- Candles of one minute of one asset, within one day
SELECT date_trunc('minute', "timestamp") AS minute,
       min_by(price, "timestamp")        AS open,
       max(price)                        AS high,
       min(price)                        AS low,
       max_by(price, "timestamp")        AS close,
       sum(volume)                       AS volume
FROM trades
WHERE year = 2026 AND month = 11 AND day = 30 AND asset = 'btcusdt'
GROUP BY 1
ORDER BY 1;
