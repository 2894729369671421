// The sheet of one asset: price, candles, trades and sources. It is open while the URL ends in #symbol.

import { CandleChart } from "./chart.js";
import { make, mark, write } from "./dom.js";
import * as format from "./format.js";
import { changeOf, dayChangeOf } from "./market.js";
import { addToCandles } from "./scale.js";
import { refusedRows, sourceRows } from "./sources.js";
import { TradeView } from "./tradeview.js";

const INTERVALS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400 };
const SHOWN = 150; // candles requested
const VOLUMES_PAUSE = 1; // seconds between two drawings of the chart for new volumes alone
const SOURCES_PAUSE = 2; // seconds between two requests for the sources
const REFUSED_PAUSE = 5; // the same while the price is stale: each request makes the service ask the exchanges

export class Detail {
  row = null;
  #interval = "1m";
  #candles = [];
  #now = 0;
  #asked = 0; // counts openings, so that late responses for an earlier asset are dropped
  #chartAt = 0;
  #volumesDue = false;
  #sourcesAt = 0;
  #sourcesDue = false;

  /** `ask(path)` returns decoded JSON. `closed()` is called when the user closes the sheet. `events` are marked. */
  constructor(dialog, ask, closed, events) {
    this.dialog = dialog;
    this.ask = ask;
    this.events = events;
    this.#build();
    dialog.addEventListener("close", closed);
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  get isOpen() {
    return this.dialog.open;
  }

  open(row, context) {
    if (this.isOpen && this.row === row) return;
    this.row = row;
    this.#asked += 1;
    this.json.href = `/prices/${row.symbol}`;
    this.history.href = `/prices/${row.symbol}/history`;
    this.table.replaceChildren();
    this.trades.open(row);
    this.mark();
    this.draw(context);
    if (!this.isOpen) this.dialog.showModal();
    this.#loadCandles();
    this.#loadSources(context);
  }

  close() {
    this.row = null;
    this.trades.close();
    this.#asked += 1;
    if (this.isOpen) this.dialog.close();
  }

  /** Mark the events of the asset on the chart. */
  mark() {
    if (this.row) this.chart.marked(this.events.of(this.row.symbol));
  }

  /** Show a new price of the open asset. */
  take(context) {
    const interval = INTERVALS[this.#interval];
    if (this.#candles.length) {
      addToCandles(this.#candles, interval, this.row.timestamp, this.row.price);
      this.#drawChart();
    }
    this.#sourcesDue = true;
    if (this.row.moved) this.big.dataset.moved = this.row.moved > 0 ? "up" : "down";
    this.draw(context);
  }

  /** Update the texts that change with time. */
  draw(context) {
    const { row } = this;
    if (!row) return;
    this.#now = context.now;
    this.#name(row);
    const known = row.price !== null;
    const age = known ? context.now - row.timestamp : null;
    const stale = known && age > context.staleAfter(row.tier);
    write(this.big, format.price(row.price));
    const change = changeOf(row);
    write(this.change, format.change(change));
    mark(this.change, "data-way", format.direction(change));
    this.#drawDay(row);
    write(this.tier, row.tier);
    mark(this.tier, "data-tier", row.tier);
    write(this.facts.rank, `#${row.rank}`);
    write(this.facts.age, known ? `${format.age(age)}${stale ? ", stale" : ""}` : "\u2013");
    mark(this.facts.age, "data-stale", stale ? "true" : null);
    write(this.facts.time, known ? format.clock(row.timestamp) : "\u2013");
    const sources = `${row.sources}${context.exchanges ? ` of ${context.exchanges}` : ""}`;
    write(this.facts.sources, known ? `${sources}${row.degraded ? ", degraded" : ""}` : "\u2013");
    write(this.facts.spread, known ? format.percent(row.spread, 4) : "\u2013");
    this.trades.drawGauges();
    this.trades.check();
    if (this.#volumesDue && context.now - this.#chartAt >= VOLUMES_PAUSE) this.#drawChart();
    const waited = context.now - this.#sourcesAt;
    if (this.#sourcesDue ? waited >= SOURCES_PAUSE : (stale || !known) && waited >= REFUSED_PAUSE) this.#loadSources(context);
  }

  /** The stream was interrupted: reload, because prices may be missing. */
  async reload(context) {
    if (!this.row) return;
    await this.#loadCandles();
    await this.#loadSources(context);
  }

  async #loadCandles() {
    const [asked, seconds] = [this.#asked, INTERVALS[this.#interval]];
    this.#candles = [];
    this.chart.show([], seconds);
    this.chart.say("Loading candles\u2026");
    const start = Math.floor(this.#now / seconds - SHOWN) * seconds;
    const path = `/prices/${this.row.symbol}/candles?interval=${this.#interval}&start=${Math.max(0, start)}`;
    try {
      const body = await this.ask(path);
      if (asked !== this.#asked || seconds !== INTERVALS[this.#interval]) return;
      this.#candles = body.candles;
      this.chart.show(this.#candles, seconds);
      this.#drawChart();
    } catch (error) {
      if (asked === this.#asked) this.chart.say(`No candles: ${error.message}`);
    }
  }

  #drawChart() {
    this.#chartAt = this.#now;
    this.#volumesDue = false;
    this.chart.draw(this.trades.volumes.by(INTERVALS[this.#interval]));
  }

  async #loadSources(context) {
    const asked = this.#asked;
    this.#sourcesAt = context.now;
    this.#sourcesDue = false;
    try {
      const body = await this.ask(`/prices/${this.row.symbol}/sources`);
      if (asked !== this.#asked) return;
      const refused = body.no_new_price ? refusedRows("No newer price. The exchanges answer now:", body.no_new_price, this.#now) : [];
      this.table.replaceChildren(...sourceRows(body, body.timestamp), ...refused);
    } catch (error) {
      if (asked !== this.#asked) return;
      if (error.body?.left_out) {
        this.table.replaceChildren(...refusedRows(`${error.message}. The exchanges answer:`, error.body.left_out, this.#now));
        return;
      }
      const cell = make("td", { colspan: "6", class: "out" }, `No sources: ${error.message}`);
      this.table.replaceChildren(make("tr", {}, cell));
    }
  }

  #drawDay(row) {
    const change = dayChangeOf(row);
    const known = change !== null;
    const missing = known ? null : format.missing(row.day);
    write(this.day.change, format.change(change));
    mark(this.day.change, "data-way", format.direction(change));
    write(this.day.high, known ? format.price(row.day.high) : "\u2013");
    write(this.day.low, known ? format.price(row.day.low) : "\u2013");
    for (const name of ["change", "high", "low"]) mark(this.day[name], "title", missing);
    const volume = row.day?.volume ?? null;
    write(this.day.volume, volume === null ? "\u2013" : `${format.volume(volume)} ${row.base.toUpperCase()}`.trim());
    mark(this.day.volume, "title", volume === null ? "Not known yet" : null);
  }

  #name(row) {
    const [base, quote] = format.pair(row);
    write(this.avatar, base.slice(0, base.length > 3 ? 1 : 3));
    this.avatar.style.setProperty("--hue", format.hue(base));
    write(this.base, base);
    write(this.quote, quote && ` / ${quote}`);
  }

  #choose(interval) {
    this.#interval = interval;
    this.trades.interval = [interval, INTERVALS[interval]];
    this.trades.loadVolumes();
    this.#loadCandles();
  }

  #build() {
    this.avatar = make("i", { class: "avatar big", "aria-hidden": "true" });
    this.base = make("span");
    this.quote = make("small");
    const title = make("h2", { id: "detail-title", tabindex: "-1", autofocus: "" }, this.base, this.quote);
    this.tier = make("span", { class: "pill" });
    const close = make("button", { type: "button", class: "plain icon", "aria-label": "Close" }, "\u2715");
    close.addEventListener("click", () => this.dialog.close());
    this.big = make("p", { class: "amount" });
    this.change = make("span", { class: "change" });
    const chart = make("section", { class: "candles", "aria-label": "Candles" }, this.#intervals());
    this.chart = new CandleChart(chart);
    this.trades = new TradeView(this.ask, () => { this.#volumesDue = true; });
    this.json = make("a", {}, "JSON");
    this.history = make("a", {}, "History");
    this.dialog.append(
      make("div", { class: "sheet" },
        make("header", {}, this.avatar, title, this.tier, close),
        make("div", { class: "now" }, this.big, make("p", {}, this.change, make("small", {}, " since this page was opened"))),
        this.#dayFigures(),
        this.#facts(),
        chart,
        this.trades.element,
        make("section", { class: "from" }, make("h3", {}, "Where the price comes from"), this.#sources()),
        make("p", { class: "links" }, this.json, this.history),
      ),
    );
  }

  #intervals() {
    const choices = Object.keys(INTERVALS).map((name) => {
      const input = make("input", { type: "radio", name: "interval", value: name });
      input.checked = name === this.#interval;
      input.addEventListener("change", () => this.#choose(name));
      return make("label", {}, input, make("span", {}, name));
    });
    return make("fieldset", { class: "tiers intervals" }, make("legend", {}, "Interval"), ...choices);
  }

  #facts() {
    this.facts = {};
    const names = { age: "Age", time: "Time", sources: "Sources", spread: "Spread", rank: "Rank" };
    return list("numbers", names, this.facts);
  }

  #dayFigures() {
    this.day = {};
    const names = { change: "Change, 24 h", high: "High, 24 h", low: "Low, 24 h", volume: "Volume, 24 h" };
    return list("numbers day", names, this.day);
  }

  #sources() {
    this.table = make("tbody");
    const heads = ["Exchange", "Price", "Off", "Volume", "Behind", "Weight"];
    const head = make("tr", {}, ...heads.map((name) => make("th", { scope: "col", class: name.toLowerCase() }, name)));
    return make("div", { class: "scroll" }, make("table", { class: "sources" }, make("thead", {}, head), this.table));
  }
}

/** Return a list of names and values; `values` gets the element of each value. */
function list(classes, names, values) {
  const parts = Object.entries(names).map(([name, label]) => {
    values[name] = make("dd");
    return make("div", {}, make("dt", {}, label), values[name]);
  });
  return make("dl", { class: classes }, ...parts);
}
