// The table. Only rows in view are in the document; their elements are reused while the table scrolls.

import { draw, make, mark, write } from "./dom.js";
import * as format from "./format.js";
import { isMarked } from "./gauges.js";
import { changeOf, dayChangeOf } from "./market.js";
import { sparkline } from "./scale.js";

const BEYOND = 6; // extra rows above and below the view
const [WIDE, HIGH] = [128, 34]; // the view box of a sparkline
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Table {
  rows = [];
  selected = null; // a symbol
  #slots = [];
  #bySymbol = new Map(); // symbol -> the slot that shows it
  #height = 52;

  /** `on` has the callbacks `open(symbol)` and `view(symbols)`, the latter with the symbols in view. */
  constructor(grid, body, on) {
    this.grid = grid;
    this.body = body;
    this.on = on;
    body.addEventListener("click", (event) => this.#clicked(event));
  }

  /** Set the rows and their order. */
  arrange(rows) {
    this.rows = rows;
    mark(this.grid, "aria-rowcount", rows.length + 1);
    const tall = `${rows.length * this.#height}px`;
    if (this.body.style.height !== tall) this.body.style.height = tall;
  }

  /** Measure again after a change of the layout. */
  measure() {
    const height = parseFloat(getComputedStyle(this.grid).getPropertyValue("--row"));
    if (height === this.#height) return;
    this.#height = height;
    for (const slot of this.#slots) slot.index = -1;
    this.arrange(this.rows);
  }

  /** Put the rows in view into the document. `context` is data that rows show besides their asset. */
  draw(context) {
    const top = -this.body.getBoundingClientRect().top;
    const [from, to] = [Math.floor(top / this.#height), Math.ceil((top + innerHeight) / this.#height)];
    const first = Math.max(0, from - BEYOND);
    const room = Math.ceil(innerHeight / this.#height) + 2 * BEYOND + 1;
    const last = Math.min(this.rows.length, first + room);
    while (this.#slots.length < room) this.#add();
    const count = this.#slots.length;
    this.#bySymbol.clear();
    const busy = new Set();
    for (let index = first; index < last; index += 1) {
      const slot = this.#slots[index % count];
      busy.add(slot);
      this.#show(slot, index, context);
      this.#bySymbol.set(slot.row.symbol, slot);
    }
    for (const slot of this.#slots) if (!busy.has(slot)) this.#hide(slot);
    this.#tellActive();
    this.on.view(this.rows.slice(Math.max(0, from), Math.max(0, to)).map((row) => row.symbol));
  }

  /** Flash a row with a new price. */
  flash(row) {
    const slot = this.#bySymbol.get(row.symbol);
    if (!slot || !row.moved || calm.matches) return;
    slot.price.dataset.moved = row.moved > 0 ? "up" : "down";
    slot.flash?.cancel();
    slot.flash = slot.glow.animate([{ opacity: 1 }, { opacity: 0 }], { duration: 900, easing: "ease-out" });
  }

  /** Select the row `by` rows further, or at `to`; scroll it into view. */
  move(by, to = null) {
    if (!this.rows.length) return;
    const at = this.rows.findIndex((row) => row.symbol === this.selected);
    const wanted = to ?? (at < 0 ? this.#firstInView() : at + by);
    const index = Math.min(this.rows.length - 1, Math.max(0, wanted));
    this.selected = this.rows[index].symbol;
    this.#reveal(index);
  }

  /** Return the number of rows of a page. */
  get page() {
    return Math.max(1, Math.floor(innerHeight / this.#height) - 4);
  }

  #firstInView() {
    const under = this.grid.firstElementChild.getBoundingClientRect().bottom - this.body.getBoundingClientRect().top;
    return Math.max(0, Math.ceil(under / this.#height - 0.5));
  }

  #reveal(index) {
    const top = this.body.getBoundingClientRect().top + index * this.#height;
    const above = this.grid.firstElementChild.getBoundingClientRect().height + 64; // the sticky header
    if (top < above) scrollBy({ top: top - above });
    else if (top + this.#height > innerHeight - 16) scrollBy({ top: top + this.#height - innerHeight + 16 });
  }

  #add() {
    const slot = newSlot(this.#slots.length);
    this.#slots.push(slot);
    for (const one of this.#slots) one.index = -1; // the row of a slot depends on the number of slots
    this.body.append(slot.element);
  }

  #show(slot, index, context) {
    const row = this.rows[index];
    if (slot.index !== index) {
      slot.index = index;
      slot.element.style.transform = `translateY(${index * this.#height}px)`;
      mark(slot.element, "aria-rowindex", index + 2);
      slot.element.hidden = false;
    }
    if (slot.row !== row || slot.sides !== row.base) name(slot, row);
    fill(slot, row, context);
  }

  #hide(slot) {
    slot.index = -1;
    if (!slot.element.hidden) slot.element.hidden = true;
  }

  #tellActive() {
    const slot = this.#bySymbol.get(this.selected);
    mark(this.grid, "aria-activedescendant", slot ? slot.element.id : null);
    for (const one of this.#slots) mark(one.element, "aria-selected", one === slot ? "true" : null);
  }

  #clicked(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // the browser opens the link in a new tab or window
    const element = event.target.closest(".row");
    const slot = this.#slots.find((one) => one.element === element);
    if (!slot) return;
    event.preventDefault();
    this.selected = slot.row.symbol;
    this.on.open(slot.row.symbol);
  }
}

function newSlot(number) {
  const cell = (name, ...children) => make("span", { role: "gridcell", class: name }, ...children);
  const slot = { index: -1, row: null, sides: null, drawn: null };
  slot.rank = cell("rank");
  slot.avatar = make("i", { class: "avatar", "aria-hidden": "true" });
  slot.base = make("b");
  slot.quote = make("small");
  slot.link = make("a", { tabindex: "-1" }, slot.base, slot.quote);
  slot.zscore = make("span", { class: "said" });
  slot.spike = make("span", { class: "spike", hidden: "" }, make("span", { "aria-hidden": "true" }, "\u25b2 vol"), slot.zscore);
  slot.value = make("span");
  slot.glow = make("i", { class: "glow", "aria-hidden": "true" });
  slot.price = cell("price", make("span", {}, slot.glow, slot.value));
  slot.change = cell("change");
  slot.day = cell("day");
  slot.area = draw("path", { class: "area" });
  slot.line = draw("path", { class: "line" });
  const box = { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  slot.chart = draw("svg", box, slot.area, slot.line);
  slot.age = cell("age");
  slot.tier = make("span", { class: "pill" });
  slot.dots = make("i", { class: "dots", "aria-hidden": "true" });
  slot.count = make("span");
  slot.spread = cell("spread");
  slot.element = make(
    "div", { class: "row", role: "row", id: `row-${number}` },
    slot.rank, cell("asset", slot.avatar, slot.link, slot.spike), slot.price, slot.change, slot.day, cell("spark", slot.chart), slot.age,
    cell("tier", slot.tier), cell("sources", slot.dots, slot.count), slot.spread,
  );
  return slot;
}

/** Write the parts of a row that depend on the asset only. */
function name(slot, row) {
  if (slot.row !== row) slot.flash?.cancel();
  slot.row = row;
  slot.sides = row.base; // known a moment after the first prices
  const [base, quote] = format.pair(row);
  write(slot.avatar, base.slice(0, base.length > 3 ? 1 : 3));
  slot.avatar.style.setProperty("--hue", format.hue(base));
  write(slot.base, base);
  write(slot.quote, quote);
  mark(slot.link, "href", `#${row.symbol}`);
  slot.element.dataset.symbol = row.symbol;
  slot.drawn = null;
}

/** Write the parts of a row that change. */
function fill(slot, row, { now, staleAfter, exchanges }) {
  const known = row.price !== null;
  const age = known ? now - row.timestamp : null;
  const change = changeOf(row);
  write(slot.rank, String(row.rank));
  write(slot.value, format.price(row.price));
  write(slot.change, format.change(change));
  mark(slot.change, "data-way", format.direction(change));
  const day = dayChangeOf(row);
  write(slot.day, format.change(day));
  mark(slot.day, "data-way", format.direction(day));
  mark(slot.day, "title", day === null ? format.missing(row.day) : null);
  write(slot.age, format.age(age));
  mark(slot.element, "data-stale", known && age > staleAfter(row.tier) ? "true" : null);
  mark(slot.element, "data-tier", row.tier);
  write(slot.tier, row.tier);
  const short = known && row.degraded;
  write(slot.count, !known ? "\u2013" : short && exchanges ? `${row.sources} of ${exchanges}` : String(row.sources));
  mark(slot.dots, "data-state", !known ? null : short ? "warn" : "good");
  write(slot.spread, known ? format.percent(row.spread, 3) : "\u2013");
  drawSpike(slot, isMarked(row.spike, now) ? row.spike : null);
  drawSpark(slot, row);
}

function drawSpike(slot, spike) {
  if (slot.spike.hidden === (spike === null) && slot.spiked === spike) return;
  slot.spiked = spike;
  slot.spike.hidden = spike === null;
  const told = spike && `Unusual volume: z-score ${format.signed(spike.zscore, 1)} at ${format.clock(spike.at)}`;
  write(slot.zscore, told ?? "");
  mark(slot.spike, "title", told);
}

function drawSpark(slot, row) {
  const points = row.points ?? [];
  const { line, area } = sparkline(points, WIDE, HIGH);
  if (slot.drawn === line) return;
  slot.drawn = line;
  slot.line.setAttribute("d", line);
  slot.area.setAttribute("d", area);
  mark(slot.chart, "data-way", points.length ? Math.sign(points.at(-1)[1] - points[0][1]) : 0);
}
