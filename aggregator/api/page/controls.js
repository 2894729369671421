// The controls above the table: sort, quote, tier, watchlist, columns, CSV. The choices of a user are kept in the browser.

import { COLUMNS, OPTIONAL } from "./columns.js";
import { csvOf, save } from "./csv.js";
import { byId, make, mark, write } from "./dom.js";
import { keep, kept } from "./kept.js";
import { counts, DESCENDING_FIRST, quotesOf } from "./order.js";

const SORTED = COLUMNS.filter((column) => column.sort);

export class Controls {
  watched = new Set(kept("watchlist") ?? []); // symbols
  #quotes = "";

  /** `look(change)` changes the view; `table` shows it. */
  constructor(look, table) {
    this.look = look;
    this.table = table;
    table.hidden = new Set((kept("hidden-columns") ?? []).filter((key) => OPTIONAL.some((column) => column.key === key)));
    byId("search").addEventListener("input", (event) => look({ query: event.target.value }));
    byId("tiers").addEventListener("change", (event) => look({ tier: event.target.value }));
    byId("quote").addEventListener("change", (event) => look({ quote: event.target.value }));
    byId("sort").addEventListener("change", ({ target: { value } }) => look({ key: value, descending: DESCENDING_FIRST.has(value) }));
    byId("watched").addEventListener("click", () => this.#toggleWatched());
    byId("csv").addEventListener("click", () => save("prices.csv", csvOf(table.rows)));
    byId("sort").append(...SORTED.map(({ sort, label }) => make("option", { value: sort }, label === "#" ? "Rank" : label)));
    this.#addColumns();
    for (const popover of document.querySelectorAll("details.service, details.choose")) closeOutside(popover);
  }

  /** Put an asset on the watchlist, or take it off. */
  watch(symbol) {
    if (!this.watched.delete(symbol)) this.watched.add(symbol);
    keep("watchlist", [...this.watched]);
    this.look({});
  }

  /** Show the order of the view. */
  order(view) {
    for (const head of document.querySelectorAll(".head [data-key]")) {
      const way = view.descending ? "descending" : "ascending";
      mark(head.parentElement, "aria-sort", head.dataset.key === view.key ? way : null);
    }
    byId("sort").value = view.key;
  }

  /** Show the numbers of assets, of all rows and of those that are shown, and the quote assets to choose. */
  count(rows, shown) {
    const found = counts(rows.values());
    for (const input of byId("tiers").querySelectorAll("input")) {
      write(input.nextElementSibling.lastElementChild, String(found[input.value]));
    }
    write(byId("found"), shown === rows.size ? "" : `${shown} ${shown === 1 ? "asset" : "assets"}`);
    write(byId("watched").lastElementChild, this.watched.size ? String(this.watched.size) : "");
    const quotes = quotesOf(rows.values());
    if (this.#quotes === quotes.join()) return;
    this.#quotes = quotes.join();
    const chosen = byId("quote").value;
    byId("quote").replaceChildren(byId("quote").firstElementChild, ...quotes.map((quote) => make("option", { value: quote }, quote.toUpperCase())));
    byId("quote").value = quotes.includes(chosen) ? chosen : "";
  }

  #toggleWatched() {
    const isOn = byId("watched").getAttribute("aria-pressed") !== "true";
    mark(byId("watched"), "aria-pressed", String(isOn));
    this.look({ watched: isOn ? this.watched : null });
  }

  #addColumns() {
    for (const { key, label } of OPTIONAL) {
      const input = make("input", { type: "checkbox", value: key });
      input.checked = !this.table.hidden.has(key);
      byId("columns").lastElementChild.append(make("label", {}, input, label === "#" ? "Rank" : label));
    }
    byId("columns").addEventListener("change", ({ target }) => {
      if (target.checked) this.table.hidden.delete(target.value);
      else this.table.hidden.add(target.value);
      keep("hidden-columns", [...this.table.hidden]);
      this.table.measure();
      this.look({});
    });
  }
}

/** Close a popover when the user clicks elsewhere or presses Escape. */
function closeOutside(popover) {
  document.addEventListener("click", (event) => { if (!popover.contains(event.target)) popover.open = false; });
  popover.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !popover.open) return;
    popover.open = false;
    popover.querySelector("summary").focus();
    event.stopPropagation();
  });
}
