// The volume of an asset's trades by the intervals of a chart. Pure.
//
// The page counts the trades that it knows by the minute. Intervals that begin before the first of them come from the
// service's candles of trades; trades since the request for these are added.

const MINUTE = 60; // every interval of the chart is a multiple
const MOST = 3000; // minutes that are kept

export class Volumes {
  #minutes = new Map(); // start -> volume
  #since = Infinity; // from this time on every trade is counted
  #bars = { seconds: 0, volumes: new Map(), counted: new Map() };

  /** Whether intervals are known only if `fill` brings them. */
  get isPartial() {
    return Number.isFinite(this.#since);
  }

  /** Count these trades and no others. `since` is the time from which on they are complete. */
  restart(trades, since) {
    this.#minutes.clear();
    this.#since = since;
    this.#bars = { seconds: 0, volumes: new Map(), counted: new Map() };
    for (const trade of trades) this.add(trade);
  }

  /** Count one more trade. One without a volume has no part. */
  add(trade) {
    if (trade.volume === null) return;
    const start = Math.floor(trade.timestamp / MINUTE) * MINUTE;
    this.#minutes.set(start, (this.#minutes.get(start) ?? 0) + trade.volume);
    if (this.#minutes.size > MOST) this.#drop();
  }

  /** Return what is counted now, for `fill`. Call it before candles are requested. */
  counted(seconds) {
    const found = new Map();
    for (const [minute, volume] of this.#minutes) {
      const start = Math.floor(minute / seconds) * seconds;
      found.set(start, (found.get(start) ?? 0) + volume);
    }
    return found;
  }

  /** Take the volumes of candles of `seconds`, as of the time when `counted` was taken. */
  fill(seconds, candles, counted) {
    const known = candles.filter((candle) => (candle.volume ?? null) !== null);
    this.#bars = { seconds, volumes: new Map(known.map((candle) => [candle.start, candle.volume])), counted };
  }

  /** Return the volume of each interval of `seconds`, by its start. Intervals that are not complete are left out. */
  by(seconds) {
    const counted = this.counted(seconds);
    const found = new Map();
    if (this.#bars.seconds === seconds) {
      for (const [start, volume] of this.#bars.volumes) {
        found.set(start, volume + (counted.get(start) ?? 0) - (this.#bars.counted.get(start) ?? 0));
      }
    }
    for (const [start, volume] of counted) if (start >= this.#since) found.set(start, volume);
    return found;
  }

  /** Drop the oldest minute. */
  #drop() {
    const oldest = Math.min(...this.#minutes.keys());
    this.#minutes.delete(oldest);
    this.#since = Math.max(this.#since, oldest + MINUTE);
  }
}
