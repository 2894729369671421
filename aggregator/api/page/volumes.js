// The volume of an asset's trades by minute, and by the interval of a chart. Pure.

const MINUTE = 60; // every interval of the chart is a multiple
const MOST = 3000; // minutes that are kept

export class Volumes {
  #minutes = new Map(); // start -> volume
  #since = Infinity; // from this time on every trade is counted

  /** Count these trades and no others. `since` is the time from which on they are complete. */
  restart(trades, since) {
    this.#minutes.clear();
    this.#since = since;
    for (const trade of trades) this.add(trade);
  }

  /** Count one more trade. One without a volume, or from before `since`, has no part. */
  add(trade) {
    if (trade.volume === null || trade.timestamp < this.#since) return;
    const start = Math.floor(trade.timestamp / MINUTE) * MINUTE;
    this.#minutes.set(start, (this.#minutes.get(start) ?? 0) + trade.volume);
    if (this.#minutes.size > MOST) this.#drop();
  }

  /** Return the volume of each interval of `seconds`, by its start. Intervals that are not complete are left out. */
  by(seconds) {
    const found = new Map();
    for (const [minute, volume] of this.#minutes) {
      const start = Math.floor(minute / seconds) * seconds;
      if (start >= this.#since) found.set(start, (found.get(start) ?? 0) + volume);
    }
    return found;
  }

  /** Drop the oldest minute. */
  #drop() {
    const oldest = Math.min(...this.#minutes.keys());
    this.#minutes.delete(oldest);
    this.#since = Math.max(this.#since, oldest + MINUTE);
  }
}
