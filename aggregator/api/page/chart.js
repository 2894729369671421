// The chart of one asset, drawn by TradingView Lightweight Charts: candles, volume of trades, a line for each venue, marks.

import { make, mark, write } from "./dom.js";
import * as format from "./format.js";
import { LEGEND, marksOf } from "./marks.js";

const COLOURS = ["text", "soft", "line", "up", "down", "warn"]; // of the style sheet
const VENUES = ["#2f7de1", "#b7791f", "#8b5cf6", "#0d9488", "#c2418c", "#5b7083"]; // visible on light and on dark

export class PriceChart {
  #candles = [];
  #interval = 60;
  #volumes = new Map(); // by start of a candle
  #lines = new Map(); // of venues: name -> { series, points: start -> price, colour }
  #entries = []; // events to mark
  #marked = 0; // marks that are shown
  #markedTo = 0; // the start of the last candle when the marks were made
  #at = null; // the start of the candle under the crosshair
  #parts = null; // of the library, once it is loaded

  constructor(host) {
    this.legend = make("p", { class: "legend", "aria-live": "off" });
    this.canvas = make("div", { class: "canvas", tabindex: "0", role: "img", "aria-label": "Chart" });
    this.note = make("p", { class: "note" });
    this.venues = make("p", { class: "venue-lines" });
    this.meaning = make("p", { class: "hint", hidden: "" }, LEGEND);
    host.append(this.legend, make("div", { class: "chart" }, this.canvas, this.note), this.venues, this.meaning);
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("blur", () => {
      mark(this.legend, "aria-live", "off"); // every new price changes the last candle
      this.#parts?.chart.clearCrosshairPosition();
    });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#colour());
    new MutationObserver(() => this.#colour()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Load the library: it is large, and most visitors of the table open no chart. */
  async load() {
    this.loading ??= import("./lightweight-charts.js").then((library) => this.#build(library));
    await this.loading;
  }

  /** Show candles of `interval` seconds. The array may grow; `draw` shows its last candle. */
  show(candles, interval) {
    this.#candles = candles;
    this.#interval = interval;
    this.#volumes = new Map();
    this.#at = null;
    this.say(candles.length ? "" : "No prices stored yet for this range.");
    for (const line of this.#lines.values()) this.#parts?.chart.removeSeries(line.series);
    this.#lines.clear();
    this.venues.replaceChildren();
    if (!this.#parts) return;
    const { candles: series, volumes, chart } = this.#parts;
    const amount = candles.at(-1)?.close ?? 1;
    series.applyOptions({ priceFormat: { type: "custom", formatter: format.price, minMove: 10 ** -format.decimals(amount) } });
    series.setData(filled(candles, interval));
    volumes.setData([]);
    chart.timeScale().fitContent();
    this.#drawMarks();
    this.#tell();
  }

  /** Show a message in place of the candles, or remove it. */
  say(text) {
    write(this.note, text);
    this.note.hidden = !text;
  }

  /** Draw the last candle, and the volumes of trades by the start of a candle if they are given. */
  draw(volumes = null) {
    const last = this.#candles.at(-1);
    if (!this.#parts || !last) return;
    this.say("");
    this.#parts.candles.update(barOf(last));
    if (last.start !== this.#markedTo) this.#drawMarks(); // an event may have come before the first price of its candle
    if (volumes) {
      this.#volumes = volumes;
      this.#parts.volumes.setData(this.#candles.filter((candle) => volumes.get(candle.start) > 0).map((candle) => this.#volumeOf(candle)));
    }
    this.#tell();
  }

  /** Add prices of venues, `[[name, timestamp, price]]`, oldest first. Those before the first candle are left out. */
  trace(prices) {
    const first = this.#candles[0]?.start;
    if (!this.#parts || first === undefined) return;
    for (const [name, timestamp, price] of prices) {
      const time = Math.floor(timestamp / this.#interval) * this.#interval;
      if (time < first || time > this.#candles.at(-1).start) continue;
      this.#lineOf(name).points.set(time, price);
    }
    for (const { series, points } of this.#lines.values()) {
      series.setData([...points].sort((one, other) => one[0] - other[0]).map(([time, value]) => ({ time, value })));
    }
    this.#tell();
  }

  /** Mark events of the asset. */
  marked(entries) {
    this.#entries = entries;
    this.#drawMarks();
  }

  #drawMarks() {
    if (!this.#parts) return;
    const found = marksOf(this.#entries, this.#candles, this.#interval, this.colours);
    this.#parts.marks.setMarkers(found);
    this.meaning.hidden = !found.length;
    this.#marked = found.length;
    this.#markedTo = this.#candles.at(-1)?.start ?? 0;
    this.#tell();
  }

  #lineOf(name) {
    let line = this.#lines.get(name);
    if (!line) {
      const { chart, library } = this.#parts;
      const colour = VENUES[this.#lines.size % VENUES.length];
      const series = chart.addSeries(library.LineSeries, { color: colour, lineWidth: 1, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false });
      line = { series, points: new Map(), colour };
      this.#lines.set(name, line);
      const swatch = make("i", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = colour;
      this.venues.append(make("span", {}, swatch, name));
    }
    return line;
  }

  #volumeOf(candle) {
    const colour = candle.close >= candle.open ? this.colours.up : this.colours.down;
    return { time: candle.start, value: this.#volumes.get(candle.start), color: colour.replace("rgb(", "rgba(").replace(")", ", 0.35)") };
  }

  #build(library) {
    const chart = library.createChart(this.canvas, {
      autoSize: true,
      layout: { attributionLogo: false, background: { type: "solid", color: "transparent" }, fontFamily: "inherit", fontSize: 11 }, // the page's footer names the library
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.24 } },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, maxBarSpacing: 16, rightOffset: 2, tickMarkFormatter: (time) => format.moment(time, this.#interval) },
      localization: { timeFormatter: (time) => timeOf(time, this.#interval) },
      crosshair: { mode: library.CrosshairMode.Normal },
      handleScroll: { mouseWheel: false, vertTouchDrag: false },
    });
    const candles = chart.addSeries(library.CandlestickSeries, { borderVisible: false });
    const volumes = chart.addSeries(library.HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false });
    volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    chart.subscribeCrosshairMove((moved) => { this.#at = moved.time ?? null; this.#tell(); });
    this.#parts = { library, chart, candles, volumes, marks: library.createSeriesMarkers(candles, []) };
    this.#colour();
  }

  /** Read the colours of the style sheet; the library draws on a canvas, which knows no CSS variables. */
  #colour() {
    if (!this.#parts) return;
    this.colours = Object.fromEntries(COLOURS.map((name) => {
      this.canvas.style.color = `var(--${name})`;
      return [name, getComputedStyle(this.canvas).color];
    }));
    this.canvas.style.color = "";
    const { text, soft, line, up, down } = this.colours;
    const { chart, candles } = this.#parts;
    chart.applyOptions({
      layout: { textColor: soft }, grid: { vertLines: { color: line }, horzLines: { color: line } },
      crosshair: { vertLine: { color: soft, labelBackgroundColor: text }, horzLine: { color: soft, labelBackgroundColor: text } },
    });
    candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    this.draw(this.#volumes);
    this.#drawMarks();
  }

  #key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !this.#parts || !this.#candles.length) return;
    event.preventDefault();
    mark(this.legend, "aria-live", "polite");
    const last = this.#candles.length - 1;
    const at = this.#candles.findIndex((candle) => candle.start === this.#at);
    const candle = this.#candles[at < 0 ? last : Math.min(last, Math.max(0, at + by))];
    this.#at = candle.start;
    this.#parts.chart.setCrosshairPosition(candle.close, candle.start, this.#parts.candles);
    this.#tell();
  }

  /** Write the legend: the candle under the crosshair, or the last one. */
  #tell() {
    const candle = this.#candles.find((one) => one.start === this.#at) ?? this.#candles.at(-1);
    const told = make("p", {}, ...(candle ? legendOf(candle, this.#interval, this.#volumes.get(candle.start)) : []));
    if (told.textContent !== this.legend.textContent) this.legend.replaceChildren(...told.childNodes);
    mark(this.canvas, "aria-label", `Chart: ${this.#candles.length} candles, ${this.#lines.size} venues, ${this.#marked} marks. Arrow keys move along the candles. ${this.legend.textContent}`);
  }
}

/** Return the library's data of candles, with a gap where an interval has no price. Pure. */
export function filled(candles, interval) {
  const found = [];
  for (const candle of candles) {
    const before = found.at(-1)?.time;
    const missing = before === undefined ? 0 : (candle.start - before) / interval - 1;
    for (let gap = 1; gap <= Math.min(missing, 500); gap += 1) found.push({ time: before + gap * interval });
    found.push(barOf(candle));
  }
  return found;
}

function barOf({ start, open, high, low, close }) {
  return { time: start, open, high, low, close };
}

function timeOf(start, interval) {
  const day = new Date(1000 * start).toLocaleDateString("en", { day: "numeric", month: "short", timeZone: interval >= 86400 ? "UTC" : undefined });
  return interval >= 86400 ? day : `${day} ${format.clock(start).slice(0, 5)}`;
}

function legendOf(candle, interval, volume) {
  const way = candle.close >= candle.open ? "up" : "down";
  const parts = [["O", "Open", candle.open], ["H", "High", candle.high], ["L", "Low", candle.low], ["C", "Close", candle.close]];
  return [
    make("time", {}, timeOf(candle.start, interval), " "),
    ...parts.map(([letter, name, value]) => make("span", { title: name }, `${letter} `, make("b", { class: way }, format.price(value)), " ")),
    ...(volume === undefined ? [] : [make("span", { title: "Volume of trades" }, "Vol ", make("b", {}, format.volume(volume)))]),
  ];
}
