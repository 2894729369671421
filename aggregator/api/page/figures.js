// Requests the 24-hour figures of the assets in view: one request at a time, for each asset every half minute.

const REST = 30; // seconds until the figures of an asset are requested again; live prices keep them current
const SOON = 5; // the same while the service reads its history
const MOST = 200; // assets in one request

export class Figures {
  #askedAt = new Map(); // symbol -> when its figures were requested
  #running = false;

  /** `load(symbols)` requests the figures and returns a promise. `now()` is in seconds. */
  constructor(load, now = () => performance.now() / 1000) {
    this.load = load;
    this.now = now;
  }

  /** Request the figures of these rows where they are due. After a failure they are due after the same time. */
  async want(rows) {
    if (this.#running) return;
    const due = rows.filter((row) => this.#isDue(row)).slice(0, MOST).map((row) => row.symbol);
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

  #isDue(row) {
    const rest = row.day && row.day.reason !== "loading" ? REST : SOON;
    return this.now() - (this.#askedAt.get(row.symbol) ?? -Infinity) >= rest;
  }
}
