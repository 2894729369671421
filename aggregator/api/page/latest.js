// The docked list of the latest anomalies, signals, headlines and alerts of all assets.

import { make, mark, write } from "./dom.js";
import { gathered } from "./events.js";
import * as format from "./format.js";

const SHOWN = 100;
const PAUSE = 250; // milliseconds between two drawings

export class Latest {
  #items = new Map(); // elements by the key of an entry
  #entries = [];
  #isDue = false;
  #unseen = 0;

  /** `open(symbol)` opens an asset. */
  constructor(element, open) {
    this.element = element;
    this.open = open;
    this.count = make("small", {});
    this.list = make("ol", { "aria-label": "Latest events, newest first", "aria-live": "off", tabindex: "0" });
    this.nothing = make("p", { class: "hint" }, "Nothing yet.");
    const paper = make("p", { class: "hint" }, "Signals are paper trading: no order is sent.");
    element.append(make("summary", {}, "Latest ", this.count), this.nothing, this.list, paper);
    element.addEventListener("toggle", () => { this.#unseen = 0; this.#draw(); });
    this.list.addEventListener("click", (event) => {
      const symbol = event.target.closest("button")?.dataset.symbol;
      if (symbol) this.open(symbol);
    });
  }

  /** Show the list while the service has topics for it. */
  offer(topics) {
    this.element.hidden = !topics.length && !this.#entries.length;
    mark(this.element, "data-away", topics.length ? null : "true");
  }

  /** Show entries, newest first; `added` of them are new. */
  show(entries, added) {
    this.#entries = gathered(entries).slice(0, SHOWN);
    if (!this.element.open) this.#unseen += added;
    if (this.#isDue) return;
    this.#isDue = true;
    setTimeout(() => { this.#isDue = false; this.#draw(); }, PAUSE);
  }

  #draw() {
    write(this.count, this.#unseen ? `${this.#unseen > 99 ? "99+" : this.#unseen} new` : "");
    if (!this.element.open) return;
    this.nothing.hidden = this.#entries.length > 0;
    let next = this.list.firstChild;
    const kept = new Map();
    for (const entry of this.#entries) {
      const known = this.#items.get(entry.key);
      const item = known?.entry === entry ? known : { entry, element: itemOf(entry) };
      if (known && known !== item) {
        if (known.element === next) next = next.nextSibling;
        known.element.remove();
      }
      kept.set(entry.key, item);
      if (item.element === next) next = next.nextSibling;
      else this.list.insertBefore(item.element, next);
    }
    for (const [key, item] of this.#items) if (!kept.has(key)) item.element.remove();
    this.#items = kept;
  }
}

/** Return the list item of an event. */
export function itemOf(entry) {
  const text = entry.url
    ? make("a", { href: entry.url, rel: "noopener noreferrer", target: "_blank" }, entry.text)
    : make("span", {}, entry.text);
  return make(
    "li", { "data-topic": entry.topic, "data-way": entry.way || null },
    make("time", { datetime: new Date(1000 * entry.at).toISOString() }, format.clock(entry.at)),
    make("button", { type: "button", class: "asset", "data-symbol": entry.asset }, entry.asset.toUpperCase()),
    make("b", {}, entry.name), text, entry.more ? make("small", {}, entry.more) : "",
  );
}
