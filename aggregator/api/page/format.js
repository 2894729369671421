// Formats numbers and times for people. Pure. Times are unix seconds, ages are seconds.

const MINUS = "\u2212";
const formats = new Map();

function fixed(value, decimals) {
  let format = formats.get(decimals);
  if (!format) {
    format = new Intl.NumberFormat("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    formats.set(decimals, format);
  }
  return format.format(value);
}

/** Return six significant digits, at least two decimals. Prices of one magnitude have equally many decimals. */
export function decimals(value) {
  const magnitude = value > 0 ? Math.floor(Math.log10(value)) : 0;
  return Math.min(14, Math.max(2, 5 - magnitude));
}

/** Return a whole number with separators. */
export function whole(value) {
  return fixed(value, 0);
}

export function price(value) {
  return value === null ? "\u2013" : fixed(value, decimals(value));
}

/** Return a fraction as percent with its sign. Zero after rounding has no sign. */
export function change(fraction) {
  if (fraction === null) return "\u2013";
  const percent = Math.round(1e4 * fraction) / 100;
  const sign = percent > 0 ? "+" : percent < 0 ? MINUS : "";
  return `${sign}${fixed(Math.abs(percent), 2)} %`;
}

/** Return the sign that `change` shows (-1, 0, 1), so that a colour never contradicts the text. */
export function direction(fraction) {
  return Math.sign(Math.round(1e4 * (fraction ?? 0))) || 0; // never -0
}

/** Return a number with its sign. Zero after rounding has no sign. */
export function signed(value, digits) {
  const shown = fixed(Math.abs(value), digits);
  return `${Number(shown.replaceAll(",", "")) === 0 ? "" : value > 0 ? "+" : MINUS}${shown}`;
}

export function percent(fraction, digits = 1) {
  return `${fixed(100 * fraction, digits)} %`;
}

/** Return a small fraction in basis points. */
export function basisPoints(fraction) {
  const points = 1e4 * fraction;
  const shown = fixed(Math.abs(points), Math.abs(points) < 100 ? 1 : 0);
  return `${Number(shown.replaceAll(",", "")) === 0 ? "" : points > 0 ? "+" : MINUS}${shown} bp`;
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });

export function volume(value) {
  return compact.format(value);
}

/** Return a short age in tenths of a second. */
export function behind(seconds) {
  return `${fixed(Math.max(0, seconds), 1)} s`;
}

/** Return an age in at most two units: 7s, 4m 09s, 3h 02m, 5d 1h. A small negative age counts as 0. */
export function age(seconds) {
  if (seconds === null) return "\u2013";
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${pad(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h ${pad(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d ${Math.floor((whole % 86400) / 3600)}h`;
}

/** Return a length of time in one unit: 40 s, 12 min, 23 h. */
export function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

function pad(number) {
  return String(number).padStart(2, "0");
}

/** Return the local time of day, to the second. */
export function clock(timestamp) {
  const time = new Date(1000 * timestamp);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(pad).join(":");
}

/** Return the local time of day, to the millisecond. */
export function instant(timestamp) {
  const milliseconds = Math.floor(1000 * timestamp + 1e-3); // 0.001 of a millisecond: floats are not exact
  return `${clock(milliseconds / 1000)}.${String(milliseconds % 1000).padStart(3, "0")}`;
}

/** Return a label of the time axis: the day for daily candles, else the time, and the day at midnight. */
export function moment(timestamp, interval) {
  const time = new Date(1000 * timestamp);
  const day = time.toLocaleDateString("en", { day: "numeric", month: "short", timeZone: interval >= 86400 ? "UTC" : undefined });
  if (interval >= 86400 || (time.getHours() === 0 && time.getMinutes() === 0)) return day;
  return `${pad(time.getHours())}:${pad(time.getMinutes())}`;
}

/** Return base and quote, such as "BTC" and "USDT". If they are unknown, the symbol is the base. */
export function pair(asset) {
  return asset.base ? [asset.base.toUpperCase(), asset.quote.toUpperCase()] : [asset.symbol.toUpperCase(), ""];
}

/** Return the hue of an asset in degrees. It depends on the symbol only. */
export function hue(symbol) {
  let hash = 0x811c9dc5; // FNV-1a
  for (const letter of symbol) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193) >>> 0;
  return (hash >>> 8) % 360;
}

/** Return how far the service's clock is ahead of ours. It tells whole seconds, so up to 2 s count as 0. */
export function ahead(date, now) {
  const found = Date.parse(date) / 1000 + 0.5 - now;
  return Math.abs(found) > 2 ? found : 0; // also for an invalid date
}

const REASONS = {
  timeout: "no answer in time",
  unreachable: "unreachable",
  http_error: "answered with an error",
  undecodable: "answer could not be read",
  not_listed: "does not list it",
  rate_limited: "asked to be left alone",
  maintenance: "closed for maintenance",
  blocked: "does not serve the place where this runs",
  breaker_open: "breaker is open",
  late: "later than the others",
  no_rate: "no sound rate to convert by",
  wrong_symbol: "spoke of another symbol",
  bad_price: "no usable price",
  bad_volume: "no usable volume",
  too_old: "ticker too old",
  from_the_future: "time ahead of ours",
  outlier: "too far from the others",
  disagreement: "too few agree",
  too_few: "fewer than a price needs",
};

const MISSING = {
  loading: "The service is still reading the stored prices of the last 24 hours",
  history_unavailable: "The service cannot read its history now",
  history_too_young: "No price of 24 hours ago is stored yet",
  cut_off: "This process is cut off from the prices of the others",
};

/** Return why the 24-hour figures of a row are not shown; null if they are. */
export function missing(day) {
  if (!day) return "Not known yet";
  return day.reason === null ? null : (MISSING[day.reason] ?? reason(day.reason));
}

export function reason(code) {
  return REASONS[code] ?? code.replaceAll("_", " ");
}
