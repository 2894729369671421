// Shows GET /ready in one line: the verdict and its cause. The details are stores, freshness by tier, and exchanges.

import { byId, make, mark, write } from "./dom.js";
import * as format from "./format.js";

const EVERY = 5; // seconds between two requests
const TIERS = ["hot", "medium", "cold"];
const BREAKERS = { closed: "ok", open: "open", "half-open": "probing" };

export class Health {
  exchanges = 0; // their number
  ahead = 0; // seconds that the service's clock is ahead of ours
  #staleAfter = {};
  #failures = 0;
  #parts = new Map(); // by list and name: an item with its elements, kept while the name is in the list
  #seen = new Set();
  #isKnown = false; // whether the service has told its state once
  #wake = () => {};

  /** `changed()` is called when data that table rows use may have changed; `isLive()` tells whether prices arrive. */
  constructor(changed, isLive) {
    this.changed = changed;
    this.isLive = isLive;
    this.service = byId("service");
    this.verdict = this.service.querySelector(".verdict");
    this.cause = this.service.querySelector(".cause");
    this.lights = this.service.querySelector(".lights");
    this.facts = this.service.querySelector(".facts");
    this.meters = document.querySelector("#freshness .meters");
    this.list = document.querySelector("#exchanges .exchanges");
    this.trouble = byId("trouble");
    this.invented = byId("invented");
  }

  /** Return the seconds after which a price of this tier is stale; Infinity before the first response. */
  staleAfter = (tier) => this.#staleAfter[tier] ?? Infinity;

  /** Poll for ever, but only while the page is visible. */
  async run() {
    for (;;) {
      if (!document.hidden) await this.#ask();
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 1000 * EVERY);
      });
    }
  }

  /** Ask now, without the rest of the pause: the connection has come or gone. */
  again() {
    this.#wake();
  }

  async #ask() {
    try {
      const response = await fetch("/ready", { signal: AbortSignal.timeout(4000) });
      const body = await response.json();
      this.ahead = format.ahead(response.headers.get("date"), Date.now() / 1000);
      if (!body.tiers) throw new Error(body.msg);
      this.#failures = 0;
      this.#isKnown = true;
      this.#show(body);
    } catch {
      this.#failures += 1;
      if (!this.isLive() && (this.#isKnown || this.#failures > 1)) this.#away(); // the first request may be before the service is up
      else if (this.#failures > 2) this.#state("warn", "State not known", "prices arrive, but the service is slow to tell its state");
    }
    this.changed();
  }

  #away() {
    this.#state("away", "Not reachable", this.#isKnown ? "the last known prices are shown" : "the page tries again by itself");
    this.#troubles([]);
  }

  #show(body) {
    const state = !body.ready ? "bad" : body.reasons.length ? "warn" : "good";
    const tiers = Object.values(body.tiers);
    const sum = (name) => tiers.reduce((total, one) => total + one[name], 0);
    this.exchanges = Object.keys(body.exchanges).length;
    this.#state(state, { bad: "Not ready", warn: "Some trouble", good: "All is well" }[state], causeOf(body.reasons, sum("priced"), sum("assets"), this.exchanges));
    this.#troubles(body.reasons);
    this.invented.hidden = !body.invented_market;
    for (const [tier, one] of Object.entries(body.tiers)) this.#staleAfter[tier] = one.stale_after;
    this.#seen.clear();
    for (const [name, said] of Object.entries(body.stores)) this.#store(name, said);
    for (const [name, said] of Object.entries(body.outlets)) this.#outlet(name, said);
    for (const tier of TIERS) if (body.tiers[tier]) this.#meter(tier, body.tiers[tier], body.jobs_behind_seconds[tier]);
    for (const [name, one] of Object.entries(body.exchanges)) this.#exchange(name, one);
    if (!this.exchanges) this.#part(this.list, "no exchange", () => ["This process asks none."]);
    for (const [key, part] of this.#parts) {
      if (!this.#seen.has(key)) {
        part.element.remove();
        this.#parts.delete(key);
      }
    }
  }

  #state(state, text, cause) {
    mark(this.verdict, "data-state", state);
    mark(this.service, "data-away", state === "away" ? "true" : null);
    write(this.verdict.lastElementChild, text);
    write(this.cause, cause);
    mark(this.cause, "title", cause);
  }

  #troubles(reasons) {
    this.trouble.hidden = !reasons.length;
    const told = reasons.join("\n");
    if (this.trouble.lastTold === told) return;
    this.trouble.lastTold = told;
    this.trouble.replaceChildren(make("ul", {}, ...reasons.slice(0, 12).map((reason) => make("li", {}, reason))));
  }

  #store(name, said) {
    this.#fact(`store ${name}`, name, said, "away");
  }

  #outlet(name, said) {
    this.#fact(`outlet ${name}`, `outlet ${name}`, said, wordOf(said));
  }

  #fact(key, name, said, problem) {
    const part = this.#part(this.facts, key, () => [make("i", { class: "light" }), make("span"), make("b")]);
    const [light, label, value] = part.children;
    mark(light, "data-state", said === "ok" ? "good" : "bad");
    write(label, name);
    write(value, said === "ok" ? "ok" : problem);
    mark(part.element, "title", said === "ok" ? null : said);
  }

  #meter(tier, one, behind) {
    const part = this.#part(this.meters, `tier ${tier}`, () => [
      make("span", { class: "pill", "data-tier": tier }, tier),
      make("span", { class: "meter", role: "meter", "aria-label": `${tier}: age of what is allowed`, "aria-valuemin": "0" }, make("i")),
      make("b"),
      make("small"),
    ]);
    const [, meter, age, note] = part.children;
    const share = one.p95_age === null ? 1 : Math.min(1, one.p95_age / one.allowed_age);
    mark(meter, "aria-valuemax", one.allowed_age);
    mark(meter, "aria-valuenow", Math.round(Math.min(one.p95_age ?? one.allowed_age, one.allowed_age)));
    mark(meter, "data-state", one.p95_age === null || one.p95_age > one.allowed_age ? "bad" : share > 0.67 ? "warn" : "good");
    meter.firstElementChild.style.setProperty("--share", share);
    write(age, one.p95_age === null ? "none" : format.age(one.p95_age));
    const late = behind > 1 ? `, ${format.age(behind)} behind` : "";
    write(note, one.priced < one.assets ? `${one.priced} of ${one.assets} priced${late}` : `of ${format.age(one.allowed_age)}${late}`);
  }

  #exchange(name, one) {
    const part = this.#part(this.list, `exchange ${name}`, () => [make("i", { class: "light" }), make("b", {}, name), make("span"), make("small")]);
    const [light, , breaker, note] = part.children;
    const quiet = one.quiet_for_seconds > 0;
    const idle = one.last_ticker_seconds_ago;
    const rejected = one.breaker === "closed" ? one.rejected : null;
    const how = one.push === null ? "" : one.push === "live" ? ", pushed" : ", polled: feed is away";
    const state = one.breaker === "open" ? "bad" : one.breaker === "half-open" || rejected || quiet || idle === null || how.startsWith(", polled") ? "warn" : "good";
    mark(light, "data-state", state);
    const dot = this.#part(this.lights, `light ${name}`, () => [make("i", { class: "light" }), make("span", {}, name)], "span");
    mark(dot.children[0], "data-state", state);
    mark(part.element, "data-breaker", one.breaker);
    mark(part.element, "data-rejected", rejected ? "true" : null);
    mark(part.element, "title", rejected ? `Its tickers are rejected: ${rejected}` : null);
    write(breaker, rejected ? "rejected" : (BREAKERS[one.breaker] ?? one.breaker));
    write(note, rejected ? format.reason(rejected.split(",")[0]) : quiet ? `quiet for ${format.age(one.quiet_for_seconds)}` : idle === null ? "no ticker yet" : `${format.age(idle)} ago${how}`);
  }

  #part(list, key, build, tag = "li") {
    this.#seen.add(key);
    let part = this.#parts.get(key);
    if (!part) {
      const children = build();
      part = { children, element: make(tag, {}, ...children) };
      list.append(part.element);
      this.#parts.set(key, part);
    }
    return part;
  }
}

/** Return the state of an outlet in a word, of what /ready says. Pure. */
export function wordOf(said) {
  if (said === "ok") return said;
  return said.startsWith("ended: ") ? "ended" : "away";
}

/** Return the first problem and the number of others; without any, what is priced. Pure. */
export function causeOf(reasons, priced, assets, exchanges) {
  const others = reasons.length > 1 ? `, and ${reasons.length - 1} more` : "";
  if (reasons.length) return `${reasons[0]}${others}`;
  const share = priced === assets ? `all ${format.whole(assets)}` : `${format.whole(priced)} of ${format.whole(assets)}`;
  return `${share} assets priced${exchanges ? ` from ${exchanges} ${exchanges === 1 ? "venue" : "venues"}` : ""}`;
}
