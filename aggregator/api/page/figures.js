// Requests data of many assets in batches: one request at a time, for each asset again after a while.

const SOON = 1 / 6; // of the usual time, after which data that the service is still reading is requested again
const MOST = 200; // assets in one request

export class Batches {
  #askedAt = new Map(); // symbol -> when its data was requested
  #running = false;

  /**
   * `load(symbols)` requests the data and returns a promise. `isLoading(row)` tells whether the service is still reading
   * it, or none has come. Times are in seconds.
   */
  constructor(load, isLoading, now = () => performance.now() / 1000) {
    this.load = load;
    this.isLoading = isLoading;
    this.now = now;
  }

  /** Request the data of these rows where it is `rest` seconds old. After a failure it is due after the same time. */
  async want(rows, rest) {
    if (this.#running) return;
    const due = rows.filter((row) => this.#isDue(row, rest)).slice(0, MOST).map((row) => row.symbol);
    if (!due.length) return;
    for (const symbol of due) this.#askedAt.set(symbol, this.now());
    this.#running = true;
    try {
      await this.load(due);
    } catch {
      // the page shows the state of the connection
    }
    this.#running = false;
  }

  #isDue(row, rest) {
    const wait = this.isLoading(row) ? SOON * rest : rest;
    return this.now() - (this.#askedAt.get(row.symbol) ?? -Infinity) >= wait;
  }
}
