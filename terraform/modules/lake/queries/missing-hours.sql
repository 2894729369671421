-- Trades of each hour of one day: an hour without any is missing, or was quiet
SELECT hour, count(*) AS trades, count(DISTINCT asset) AS assets
FROM trades
WHERE year = 2026 AND month = 11 AND day = 30
GROUP BY hour
ORDER BY hour;
