-- Trades, volume and VWAP of each asset on one day
SELECT asset,
       count(*)                           AS trades,
       sum(volume)                        AS volume,
       sum(price * volume) / sum(volume)  AS vwap
FROM trades
WHERE year = 2026 AND month = 11 AND day = 30
GROUP BY asset
ORDER BY trades DESC;
