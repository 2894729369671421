// Maps prices and times to positions in a chart. Pure.

/** Return `{line, area}`, SVG paths of `[time, price]` points in a box. A single point is a dot. */
export function sparkline(points, width, height, pad = 2) {
  if (points.length < 2) return { line: points.length ? `M${width - pad} ${height / 2}h0` : "", area: "" };
  const [low, high] = bounds(points.map((point) => point[1]));
  const [start, end] = [points[0][0], points.at(-1)[0]];
  const x = linear(start, Math.max(end, start + 1), pad, width - pad);
  const y = linear(low, high, height - pad, pad);
  const line = points.map((point, index) => `${index ? "L" : "M"}${round(x(point[0]))} ${round(y(point[1]))}`).join("");
  return { line, area: `${line}L${round(x(end))} ${height}L${round(x(start))} ${height}Z` };
}

/** Return the lowest and highest value. If they are equal, widen them, so that a flat line is in the middle. */
export function bounds(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const around = low === high ? Math.abs(low) * 1e-4 || 1 : 0;
  return [low - around, high + around];
}

/** Return the linear function that maps `from`..`to` to `first`..`last`. */
export function linear(from, to, first, last) {
  const factor = (last - first) / (to - from);
  return (value) => first + (value - from) * factor;
}

export function round(value) {
  return Math.round(10 * value) / 10;
}

/** Return about `wanted` round numbers from `low` to `high`. Their distance is 1, 2, 2.5 or 5 times a power of ten. */
export function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((one) => one * power >= rough * 0.999) ?? 10);
  const found = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high + step * 1e-9; number += 1) {
    found.push(number * step);
  }
  return found;
}

/**
 * Return the positions of candles in a box `{left, right, top, bottom}`. All have the same width, and the newest is at
 * the right edge. An interval without a price stays empty. `slots` is the number of intervals that fit.
 */
export function candleScale(candles, interval, box, slots) {
  const last = candles.at(-1).start;
  const first = last - (slots - 1) * interval;
  const shown = candles.filter((candle) => candle.start >= first);
  const [low, high] = bounds(shown.flatMap((candle) => [candle.low, candle.high]));
  const margin = (high - low) * 0.06;
  const width = (box.right - box.left) / slots;
  return {
    shown,
    low: low - margin,
    high: high + margin,
    width,
    x: (start) => box.left + ((start - first) / interval + 0.5) * width,
    y: linear(low - margin, high + margin, box.bottom, box.top),
    slot: (x) => first + Math.floor((x - box.left) / width) * interval,
  };
}

/** Return `{candle, height}` for each candle with a volume; the largest has the height `most`. */
export function volumeHeights(candles, volumes, most) {
  const found = candles.filter((candle) => volumes.get(candle.start) > 0);
  const largest = Math.max(...found.map((candle) => volumes.get(candle.start)));
  return found.map((candle) => ({ candle, height: Math.max(1, (most * volumes.get(candle.start)) / largest) }));
}

/** Return how many intervals to draw: all, but at most what fits, and enough to keep candles narrow. */
export function slotsFor(candles, interval, width) {
  const span = Math.round((candles.at(-1).start - candles[0].start) / interval) + 1;
  return Math.max(24, Math.min(span, Math.floor(width / 7)));
}

/** Return the number of intervals between two time labels: at least `width` pixels, and a step that clocks have. */
export function timeStep(interval, slotWidth, width = 84) {
  const STEPS = [60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 432000, 864000, 2592000];
  const least = (width / slotWidth) * interval;
  return STEPS.find((step) => step >= least && step % interval === 0) ?? Math.ceil(least / interval) * interval;
}

/** Add a price to the last candle, or append a candle. An older price changes nothing. */
export function addToCandles(candles, interval, timestamp, price) {
  const start = Math.floor(timestamp / interval) * interval;
  const last = candles.at(-1);
  if (last && start < last.start) return;
  if (last && start === last.start) {
    last.high = Math.max(last.high, price);
    last.low = Math.min(last.low, price);
    last.close = price;
    last.count += 1;
    return;
  }
  candles.push({ start, open: price, high: price, low: price, close: price, count: 1 });
  if (candles.length > 600) candles.shift();
}
