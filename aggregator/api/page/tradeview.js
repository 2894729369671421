// The part of an asset's sheet about its trades: gauges of the features, and the tape of the last trades.

import { make, mark, write } from "./dom.js";
import * as format from "./format.js";
import { gaugesOf } from "./gauges.js";
import { keyOf, ROWS, Tape } from "./tape.js";
import { Volumes } from "./volumes.js";

const PAUSE = 250; // milliseconds between two drawings of the tape
const LOADED = 1000; // trades; the tape shows the last of them, the chart their volume
const CHECK = 5000; // milliseconds between two comparisons of the tape with the stored trades
const SIDES = { buy: "+ buy", sell: "\u2212 sell" };
const NOTES = {
  off: "This service has no trades.",
  away: "Connecting to the trades\u2026",
  loading: "Loading the trades\u2026",
  empty: "No trade of this asset yet.",
};

export class TradeView {
  row = null;
  interval = ["1m", 60]; // of the chart: name and seconds
  volumes = new Volumes();
  #tape = new Tape();
  #rows = new Map(); // by the key of a trade
  #state = "away"; // or live, or off
  #isRefused = false; // whether this process answers 404 or 501 for trades
  #asked = 0; // counts openings, so that late responses for an earlier asset are dropped
  #drawnAt = -Infinity;
  #checkedAt = -Infinity;
  #volumesMissedAt = Infinity; // when the volumes could not be loaded
  #isUnchecked = false; // whether trades have come since the tape was loaded or compared
  #timer = 0;
  #problem = "";
  #isLoaded = false;

  /** `ask(path)` returns decoded JSON. `changed()` is called after a change of `volumes`. */
  constructor(ask, changed) {
    this.ask = ask;
    this.changed = changed;
    this.#build();
  }

  /** Show the trades of another asset. */
  open(row) {
    this.row = row;
    this.#clear();
    this.draw();
  }

  close() {
    this.row = null;
    this.#clear();
  }

  /** Set the state of the socket. */
  mark(state) {
    this.#state = state;
    if (state !== "live") this.#isRefused = false; // the next connection may be to another process
    this.draw();
  }

  get #isOff() {
    return this.#state === "off" || this.#isRefused;
  }

  /** Add new trades; those of another asset are left out. */
  take(trades) {
    const known = trades.filter((trade) => trade.asset === this.row?.symbol && this.#tape.add(trade));
    for (const trade of known) this.volumes.add(trade);
    if (!known.length) return;
    this.#isUnchecked = true;
    this.#soon();
  }

  /** Load the tape. New trades of the stream stay. */
  async load() {
    if (!this.row || this.#isOff) return;
    const asked = this.#asked;
    try {
      const body = await this.ask(`/trades/${this.row.symbol}?limit=${LOADED}`);
      if (asked !== this.#asked) return;
      this.#problem = "";
      this.#isLoaded = true;
      this.#fill(body);
      this.loadVolumes();
    } catch (error) {
      if (asked !== this.#asked) return;
      if (error.status === 404 || error.status === 501) this.#isRefused = true;
      else this.#problem = `No stored trades: ${error.message}`;
      this.#checkedAt = performance.now();
    }
    this.#soon();
  }

  /** Compare the tape with the stored trades, now and then: a slow stream leaves trades out. Load it if it lacks one, or failed. */
  async check() {
    if (performance.now() - this.#volumesMissedAt > 2 * CHECK) this.loadVolumes();
    const newest = this.#tape.trades[0];
    if (!this.row || this.#isOff || performance.now() - this.#checkedAt < CHECK) return;
    if (this.#problem) {
      this.#problem = "";
      await this.load();
      return;
    }
    if (!newest || !this.#isUnchecked) return;
    const asked = this.#asked;
    this.#checkedAt = performance.now();
    this.#isUnchecked = false;
    try {
      const { trades } = await this.ask(`/trades/${this.row.symbol}?limit=${ROWS}`);
      if (asked === this.#asked && this.#tape.lacks(trades, newest)) await this.load();
    } catch {
      this.#isUnchecked = true;
    }
  }

  /** Load the volumes of the chart's interval, if the page does not know all trades. Without them there are fewer bars. */
  async loadVolumes() {
    if (!this.row || !this.volumes.isPartial) return;
    const [asked, [name, seconds]] = [this.#asked, this.interval];
    this.#volumesMissedAt = Infinity;
    const counted = this.volumes.counted(seconds);
    try {
      const { candles } = await this.ask(`/prices/${this.row.symbol}/candles?interval=${name}&source=trades`);
      if (asked === this.#asked && seconds === this.interval[1]) this.volumes.fill(seconds, candles, counted);
      this.#soon();
    } catch (error) {
      // 400: an interval has too many trades to add up, now and later
      if (asked === this.#asked && error.status !== 400) this.#volumesMissedAt = performance.now();
    }
  }

  /** Add the loaded trades to the tape. Trades that the tape has besides them are newer. */
  #fill({ trades, next }) {
    const loaded = new Set(trades.map(keyOf));
    const newer = this.#tape.trades.filter((trade) => !loaded.has(keyOf(trade)));
    this.volumes.restart([...newer, ...trades], next === null ? -Infinity : trades.at(-1).timestamp);
    for (const trade of trades) this.#tape.add(trade);
  }

  /** Draw gauges, tape and note. */
  draw() {
    if (!this.row) return;
    this.gauges.hidden = this.#isOff;
    this.drawGauges();
    write(this.note, this.#noteText());
    this.note.hidden = !this.note.textContent;
    this.#drawTape();
  }

  /** Draw the features as they are now. */
  drawGauges() {
    if (!this.row) return;
    for (const gauge of gaugesOf(this.row.features)) this.#gauge(gauge);
    mark(this.seconds, "hidden", this.row.features?.by_second ? null : "");
  }

  #noteText() {
    if (this.#isOff) return NOTES.off;
    if (this.#state !== "live") return NOTES.away;
    if (this.#problem || this.#tape.trades.length) return this.#problem;
    return this.#isLoaded ? NOTES.empty : NOTES.loading;
  }

  #clear() {
    this.#asked += 1;
    this.#problem = "";
    this.#volumesMissedAt = Infinity;
    this.#isLoaded = false;
    this.#tape.clear();
    this.volumes.restart([], Infinity);
    this.#rows.clear();
    this.body.replaceChildren();
  }

  #soon() {
    if (this.#timer) return;
    const wait = Math.max(0, PAUSE - (performance.now() - this.#drawnAt));
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#drawnAt = performance.now();
      this.draw();
      this.changed();
    }, wait);
  }

  /** Insert rows of new trades at their places, and remove those that have left the tape. */
  #drawTape() {
    let next = this.body.firstChild;
    const kept = new Map();
    for (const trade of this.#tape.trades) {
      const key = keyOf(trade);
      const row = this.#rows.get(key) ?? tapeRow(trade);
      kept.set(key, row);
      if (row === next) next = next.nextSibling;
      else this.body.insertBefore(row, next);
    }
    for (const [key, row] of this.#rows) if (!kept.has(key)) row.remove();
    this.#rows = kept;
    this.scroll.hidden = this.#isOff || !kept.size;
  }

  #gauge({ name, label, text, title, from, to, state }) {
    const part = this.parts[name];
    write(part.value, text);
    mark(part.box, "title", title);
    mark(part.box, "data-state", state);
    mark(part.value, "data-known", from === null ? null : "true");
    part.bar.hidden = from === null;
    if (from === null) return;
    part.bar.style.setProperty("--from", Math.min(from, to));
    part.bar.style.setProperty("--long", Math.abs(to - from));
    mark(part.bar, "aria-valuenow", Math.round(100 * to));
    mark(part.bar, "aria-valuetext", `${label}: ${text}`);
  }

  #build() {
    this.note = make("p", { class: "hint", role: "status" });
    this.parts = {};
    this.gauges = make("dl", { class: "gauges", "aria-label": "Features of the trades" });
    for (const { name, label } of gaugesOf(null)) this.gauges.append(this.#newGauge(name, label));
    this.seconds = make("p", { class: "hint", hidden: "" }, "So many trades that windows are exact to a second only.");
    this.body = make("tbody");
    const heads = ["Time", "Price", "Volume", "Side", "Venue"];
    const head = make("tr", {}, ...heads.map((name) => make("th", { scope: "col", class: name.toLowerCase() }, name)));
    const table = make("table", { class: "tape", "aria-label": "Last trades, newest first" }, make("thead", {}, head), this.body);
    this.scroll = make("div", { class: "taped", tabindex: "0", role: "region", "aria-label": "Last trades" }, table);
    const title = make("h3", { id: "trades-title" }, "Trades");
    this.element = make("section", { class: "from trades", "aria-labelledby": "trades-title" }, title, this.note, this.gauges, this.seconds, this.scroll);
  }

  #newGauge(name, label) {
    const bar = make("i", { class: "gauge", role: "meter", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": "0" });
    const value = make("span");
    const box = make("div", { "data-name": name }, make("dt", {}, label), make("dd", {}, value, bar));
    this.parts[name] = { box, bar, value };
    return box;
  }
}

function tapeRow(trade) {
  const way = trade.side === "buy" ? "1" : trade.side === "sell" ? "-1" : null;
  return make(
    "tr", { "data-way": way, title: trade.late ? "Late: without a part in the features" : null },
    make("td", { class: "time" }, format.instant(trade.timestamp)),
    make("td", { class: "number" }, format.price(trade.price)),
    make("td", { class: "number" }, trade.volume === null ? "\u2013" : format.volume(trade.volume)),
    make("td", { class: "side" }, SIDES[trade.side] ?? "\u2013"),
    make("td", { class: "venue" }, trade.venue),
  );
}
