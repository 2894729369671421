// The last trades of one asset, newest first, each once. Pure.

export const ROWS = 200; // trades that are kept

/** Return the identity of a trade among those of its asset. */
export function keyOf(trade) {
  return `${trade.timestamp} ${trade.venue} ${trade.id}`;
}

/** Compare two trades as the service does: by time, then by venue and id. Negative: `one` is older. */
function order(one, other) {
  return one.timestamp - other.timestamp || compare(one.venue, other.venue) || compare(one.id, other.id);
}

function compare(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

export class Tape {
  trades = []; // newest first
  #keys = new Set();

  clear() {
    this.trades = [];
    this.#keys.clear();
  }

  /** Add a trade at its place. Return false for one that is kept already, or that is older than all of a full tape. */
  add(trade) {
    const key = keyOf(trade);
    if (this.#keys.has(key)) return false;
    let at = 0;
    while (at < this.trades.length && order(this.trades[at], trade) > 0) at += 1;
    if (at >= ROWS) return false;
    this.trades.splice(at, 0, trade);
    this.#keys.add(key);
    if (this.trades.length > ROWS) this.#keys.delete(keyOf(this.trades.pop()));
    return true;
  }

  /** Whether the tape lacks one of these trades, of those between its oldest trade and `newest`. */
  lacks(trades, newest) {
    const oldest = this.trades.length < ROWS ? null : this.trades.at(-1);
    const within = trades.filter((trade) => order(trade, newest) < 0 && (!oldest || order(trade, oldest) > 0));
    return within.some((trade) => !this.#keys.has(keyOf(trade)));
  }
}
