// The line of a sparkline, and candles that grow with new prices. Pure.

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
function bounds(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const around = low === high ? Math.abs(low) * 1e-4 || 1 : 0;
  return [low - around, high + around];
}

/** Return the linear function that maps `from`..`to` to `first`..`last`. */
function linear(from, to, first, last) {
  const factor = (last - first) / (to - from);
  return (value) => first + (value - from) * factor;
}

function round(value) {
  return Math.round(10 * value) / 10;
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
