-- Keys that are in the archive more than once on one day: there should be none
SELECT asset, "timestamp", venue, id, count(*) AS times
FROM trades
WHERE year = 2026 AND month = 11 AND day = 30
GROUP BY asset, "timestamp", venue, id
HAVING count(*) > 1;
