// The ranges of a chart, and which candles to request for each. Pure.

const INTERVALS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400 };
const MOST = 400; // candles of the whole history

/** By name: the seconds of a range, and the interval of its candles. */
export const RANGES = { "1h": [3600, "1m"], "1d": [86_400, "15m"], "1w": [604_800, "1h"], all: null };

/**
 * Return `{interval, seconds, start}` of a range at `now`, in unix seconds. `oldest` is the time of the first stored
 * price, which the range "all" begins with.
 */
export function candlesOf(range, now, oldest) {
  const span = RANGES[range]?.[0] ?? Math.max(3600, now - oldest);
  const interval = RANGES[range]?.[1] ?? Object.keys(INTERVALS).find((name) => span / INTERVALS[name] <= MOST) ?? "1d";
  const seconds = INTERVALS[interval];
  return { interval, seconds, start: Math.max(0, Math.floor((now - span) / seconds) * seconds) };
}
