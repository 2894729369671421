// The table. Only rows in view are in the document; their elements are reused while the table scrolls.

import { COLUMNS, fitting, template } from "./columns.js";
import { make, mark } from "./dom.js";
import { fill, headOf, name, newSlot } from "./rows.js";

const BEYOND = 6; // extra rows above and below the view
const NARROW = 44; // rem; below it a row has two lines
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Table {
  rows = [];
  selected = null; // a symbol
  hidden = new Set(); // keys of columns that the user has hidden
  #left = new Set(); // keys of columns that have no value in any row
  #slots = [];
  #bySymbol = new Map(); // symbol -> the slot that shows it
  #height = 52;
  #columns = []; // keys of the columns that are shown

  /** `on` has the callbacks `open(symbol)`, `watch(symbol)`, and `view(symbols)`, the last with the symbols in view. */
  constructor(grid, body, on) {
    this.grid = grid;
    this.body = body;
    this.on = on;
    this.head = headOf(COLUMNS);
    grid.prepend(make("div", { class: "row head", role: "row", "aria-rowindex": "1" }, ...Object.values(this.head)));
    body.addEventListener("click", (event) => this.#clicked(event));
    new ResizeObserver(() => this.measure()).observe(grid);
  }

  /** Set the rows and their order. */
  arrange(rows) {
    this.rows = rows;
    mark(this.grid, "aria-rowcount", rows.length + 1);
    const tall = `${rows.length * this.#height}px`;
    if (this.body.style.height !== tall) this.body.style.height = tall;
  }

  /** Leave out columns that have no value in any row. */
  leave(keys) {
    if (keys.length === this.#left.size && keys.every((key) => this.#left.has(key))) return;
    this.#left = new Set(keys);
    this.measure();
  }

  /** Measure again after a change of the layout, and show the columns that fit. */
  measure() {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const wide = this.grid.clientWidth / rem;
    mark(this.grid, "data-narrow", wide < NARROW ? "true" : null);
    const columns = wide < NARROW ? COLUMNS : fitting(wide, new Set([...this.hidden, ...this.#left]));
    this.grid.style.setProperty("--columns", template(columns));
    this.#columns = columns.map((column) => column.key);
    for (const cells of [this.head, ...this.#slots.map((slot) => slot.cells)]) this.#hideCells(cells);
    const height = parseFloat(getComputedStyle(this.grid).getPropertyValue("--row"));
    if (height === this.#height) return;
    this.#height = height;
    for (const slot of this.#slots) slot.index = -1;
    this.arrange(this.rows);
  }

  #hideCells(cells) {
    for (const [key, cell] of Object.entries(cells)) cell.hidden = !this.#columns.includes(key);
  }

  /** Put the rows in view into the document. `context` is data that rows show besides their asset. */
  draw(context) {
    const top = -this.body.getBoundingClientRect().top;
    const [from, to] = [Math.floor(top / this.#height), Math.ceil((top + innerHeight) / this.#height)];
    const first = Math.min(Math.max(0, from - BEYOND), Math.max(0, this.rows.length - 1));
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
    slot.cells.price.dataset.moved = row.moved > 0 ? "up" : "down";
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
    const slot = newSlot(this.#slots.length, COLUMNS);
    this.#hideCells(slot.cells);
    this.#slots.push(slot);
    for (const one of this.#slots) one.index = -1; // the row of a slot depends on the number of slots
    this.body.append(slot.element);
  }

  #show(slot, index, context) {
    const row = this.rows[index];
    if (slot.index !== index) {
      slot.index = index;
      slot.element.style.transform = `translateY(${index * this.#height}px)`;
      slot.element.style.order = index; // for print, where rows follow each other
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
    if (event.target.closest(".star")) {
      this.on.watch(slot.row.symbol);
      return;
    }
    this.selected = slot.row.symbol;
    this.on.open(slot.row.symbol);
  }
}
