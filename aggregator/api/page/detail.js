// The docked panel of one asset: price, chart, venues, trades and events. It is open while the URL ends in #symbol.

import { PriceChart } from "./chart.js";
import { make, mark, write } from "./dom.js";
import * as format from "./format.js";
import { itemOf } from "./latest.js";
import { dayOf, volumeOf } from "./market.js";
import { candlesOf, RANGES } from "./ranges.js";
import { drawAvatar } from "./rows.js";
import { refusedRows, sourceRows, venuesOf } from "./sources.js";
import { addToCandles } from "./spark.js";
import { TradeView } from "./tradeview.js";

const VOLUMES_PAUSE = 1; // seconds between two drawings of the chart for new volumes alone
const SOURCES_PAUSE = 2; // seconds between two requests for the sources
const REFUSED_PAUSE = 5; // the same while the price is stale: each request makes the service ask the exchanges
const TRACED = 500; // stored prices whose venues are drawn
const EVENTS = 12; // events in the panel
const docks = matchMedia("(min-width: 1024px)"); // narrower, the panel covers the page

export class Detail {
  row = null;
  #range = "1h";
  #seconds = 60; // of a candle
  #candles = [];
  #now = 0;
  #asked = 0; // counts openings, so that late responses for an earlier asset are dropped
  #chartAt = 0;
  #volumesDue = false;
  #sourcesAt = 0;
  #sourcesDue = false;
  #failedAt = Infinity; // when the candles could not be loaded
  #isMoving = false; // between the two forms of the panel

  /** `ask(path)` returns decoded JSON. `on` has `closed()`, `watch(symbol)` and `open(symbol)`. `events` are marked. */
  constructor(dialog, ask, on, events) {
    this.dialog = dialog;
    this.ask = ask;
    this.events = events;
    this.on = on;
    this.#build();
    dialog.addEventListener("close", () => this.#closed());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("keydown", (event) => event.key === "Escape" && dialog.close());
    docks.addEventListener("change", () => this.isOpen && this.#dock());
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
    this.draw(context);
    if (!this.isOpen) this.#dock();
    this.dialog.scrollTop = 0;
    this.mark();
    this.#loadCandles();
    this.#loadSources(context);
  }

  close() {
    this.row = null;
    this.trades.close();
    this.#asked += 1;
    if (this.isOpen) this.dialog.close();
  }

  /** Show the events of the asset on the chart and in the list. */
  mark() {
    if (!this.row) return;
    const found = this.events.of(this.row.symbol);
    this.chart.marked(found);
    this.list.replaceChildren(...found.slice(0, EVENTS).map(itemOf));
    this.found.hidden = !found.length;
  }

  /** Show a new price of the open asset. */
  take(context) {
    if (this.#candles.length) {
      addToCandles(this.#candles, this.#seconds, this.row.timestamp, this.row.price);
      this.#drawChart();
    }
    this.#sourcesDue = true;
    this.draw(context);
  }

  /** Update the texts that change with time. */
  draw(context) {
    const { row } = this;
    if (!row) return;
    this.#now = context.now;
    this.#name(row, context.watched);
    const known = row.price !== null;
    const age = known ? context.now - row.timestamp : null;
    const stale = known && age > context.staleAfter(row.tier);
    write(this.big, format.price(row.price));
    this.#drawDay(row);
    write(this.tier, row.tier);
    mark(this.tier, "data-tier", row.tier);
    write(this.rank, `#${row.rank}`);
    write(this.facts.age, known ? `${format.age(age)}${stale ? ", stale" : ""}` : "\u2013");
    mark(this.facts.age, "data-stale", stale ? "true" : null);
    const sources = `${row.sources}${context.exchanges ? ` of ${context.exchanges}` : ""}`;
    write(this.facts.venues, known ? `${sources}${row.degraded ? ", degraded" : ""}` : "\u2013");
    mark(this.facts.venues, "data-stale", known && row.degraded ? "true" : null);
    write(this.facts.gap, known && row.sources > 1 ? format.percent(row.spread, 3) : "\u2013");
    this.trades.drawGauges();
    this.trades.check();
    if (this.#volumesDue && context.now - this.#chartAt >= VOLUMES_PAUSE) this.#drawChart();
    if (context.now - this.#failedAt >= REFUSED_PAUSE) this.#loadCandles();
    const waited = context.now - this.#sourcesAt;
    if (this.#sourcesDue ? waited >= SOURCES_PAUSE : (stale || !known) && waited >= REFUSED_PAUSE) this.#loadSources(context);
  }

  /** The stream was interrupted: reload, because prices may be missing. */
  async reload(context) {
    if (!this.row) return;
    await this.#loadCandles();
    await this.#loadSources(context);
  }

  /** Open beside the table, or, on a narrow screen, above it. */
  #dock() {
    if (this.isOpen) {
      this.#isMoving = true;
      this.dialog.close();
    }
    mark(document.body, "data-docked", docks.matches ? "true" : null); // first: show() scrolls to what it focuses
    if (docks.matches) this.dialog.show();
    else this.dialog.showModal();
  }

  #closed() {
    const isMoving = this.#isMoving;
    this.#isMoving = false;
    if (isMoving) return;
    mark(document.body, "data-docked", null);
    this.on.closed();
  }

  async #loadCandles() {
    const [asked, range, { symbol }] = [this.#asked, this.#range, this.row];
    const isCurrent = () => asked === this.#asked && range === this.#range;
    this.#failedAt = Infinity;
    this.#candles = [];
    this.chart.say("Loading prices\u2026");
    try {
      await this.chart.load();
      const oldest = range === "all" ? (await this.ask(`/prices/${symbol}/history?order=asc&limit=1`)).prices[0]?.timestamp : this.#now;
      const { interval, seconds, start } = candlesOf(range, this.#now, oldest ?? this.#now);
      const body = await this.ask(`/prices/${symbol}/candles?interval=${interval}&start=${start}`);
      if (!isCurrent()) return;
      this.#seconds = seconds;
      this.#candles = body.candles;
      this.trades.interval = [interval, seconds];
      this.chart.show(this.#candles, seconds);
      this.mark();
      this.#drawChart();
      this.trades.loadVolumes();
      const { prices } = await this.ask(`/prices/${symbol}/history?sources=true&limit=${TRACED}&start=${start}`);
      if (isCurrent()) this.chart.trace(prices.toReversed().flatMap(venuesOf));
    } catch (error) {
      if (!isCurrent()) return;
      this.chart.say(`No prices: ${error.message}`);
      this.#failedAt = this.#now;
    }
  }

  #drawChart() {
    this.#chartAt = this.#now;
    this.#volumesDue = false;
    this.chart.draw(this.trades.volumes.by(this.#seconds));
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
      if (!this.chart.note.textContent) this.chart.trace(venuesOf(body));
    } catch (error) {
      if (asked !== this.#asked) return;
      if (error.body?.left_out) {
        this.table.replaceChildren(...refusedRows(`${error.message}. The exchanges answer:`, error.body.left_out, this.#now));
        return;
      }
      const cell = make("td", { colspan: "6", class: "out" }, `No sources: ${error.message}`);
      this.table.replaceChildren(make("tr", { class: "refused" }, cell));
      this.#sourcesDue = true;
    }
  }

  #drawDay(row) {
    const { change, since } = dayOf(row);
    const missing = since === null ? null : format.missing(row.day);
    write(this.change, format.change(change));
    mark(this.change, "data-way", format.direction(change));
    mark(this.change, "title", missing);
    write(this.since, since === null ? "24 h" : `over ${format.span(this.#now - since)}`);
    const known = change !== null && since === null;
    for (const name of ["high", "low"]) {
      write(this.facts[name], known ? format.price(row.day[name]) : "\u2013");
      mark(this.facts[name], "title", missing);
    }
    const volume = volumeOf(row);
    write(this.facts.volume, volume === null ? "\u2013" : `${format.volume(row.day.volume)} ${row.base.toUpperCase()}`.trim());
    mark(this.facts.volume, "title", volume === null ? "Not known yet" : `${format.volume(volume)} ${row.quote.toUpperCase()}`.trim());
  }

  #name(row, watched) {
    const [base, quote] = drawAvatar(this.avatar, row);
    write(this.base, base);
    write(this.quote, quote && ` / ${quote}`);
    mark(this.star, "aria-pressed", String(watched.has(row.symbol)));
    write(this.star, watched.has(row.symbol) ? "\u2605" : "\u2606");
  }

  #choose(range) {
    this.#range = range;
    this.#loadCandles();
  }

  #build() {
    this.avatar = make("i", { class: "avatar big", "aria-hidden": "true" });
    this.base = make("span");
    this.quote = make("small");
    const title = make("h2", { id: "detail-title", tabindex: "-1", autofocus: "" }, this.base, this.quote);
    this.star = make("button", { type: "button", class: "star", "aria-label": "Watch", "aria-pressed": "false" }, "\u2606");
    this.star.addEventListener("click", () => this.on.watch(this.row.symbol));
    this.tier = make("span", { class: "pill" });
    this.rank = make("small", { title: "Rank" });
    const close = make("button", { type: "button", class: "plain icon close", "aria-label": "Close" }, "\u2715");
    close.addEventListener("click", () => this.dialog.close());
    this.big = make("p", { class: "amount" });
    this.change = make("span", { class: "change" });
    this.since = make("small");
    const chart = make("section", { class: "candles", "aria-label": "Chart" }, this.#ranges());
    this.chart = new PriceChart(chart);
    this.trades = new TradeView(this.ask, () => { this.#volumesDue = true; });
    this.json = make("a", {}, "JSON");
    this.history = make("a", {}, "History");
    this.dialog.append(
      make("div", { class: "sheet" },
        make("div", { class: "title" }, this.avatar, title, this.star, this.tier, this.rank, close),
        make("div", { class: "now" }, this.big, make("p", {}, this.change, " ", this.since)),
        this.#figures(), chart,
        make("section", { class: "from" }, make("h3", {}, "Venues"), this.#sources()),
        this.trades.element, this.#events(),
        make("p", { class: "links" }, this.json, this.history),
      ),
    );
  }

  #ranges() {
    const choices = Object.keys(RANGES).map((name) => {
      const input = make("input", { type: "radio", name: "range", value: name });
      input.checked = name === this.#range;
      input.addEventListener("change", () => this.#choose(name));
      return make("label", {}, input, make("span", {}, name === "all" ? "All" : name));
    });
    return make("fieldset", { class: "tiers ranges" }, make("legend", {}, "Range"), ...choices);
  }

  #figures() {
    this.facts = {};
    const names = { high: "High, 24 h", low: "Low, 24 h", volume: "Volume, 24 h", venues: "Venues", gap: "Venue gap", age: "Age" };
    const parts = Object.entries(names).map(([name, label]) => {
      this.facts[name] = make("dd", { "data-name": name });
      return make("div", {}, make("dt", {}, label), this.facts[name]);
    });
    return make("dl", { class: "numbers" }, ...parts);
  }

  #events() {
    this.list = make("ol", { class: "events", "aria-label": "Events of this asset, newest first" });
    this.list.addEventListener("click", (event) => event.target.closest("button") && this.on.open(this.row.symbol));
    this.found = make("section", { class: "from", hidden: "" }, make("h3", {}, "Unusual trades, paper signals, headlines"), this.list);
    return this.found;
  }

  #sources() {
    this.table = make("tbody");
    const heads = ["Venue", "Price", "Off", "Volume", "Behind", "Weight"];
    const head = make("tr", {}, ...heads.map((name) => make("th", { scope: "col", class: name.toLowerCase() }, name)));
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Venues" }, make("table", { class: "sources" }, make("thead", {}, head), this.table));
  }
}
