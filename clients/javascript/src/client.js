import { ConnectionFailed, jsonOf, Refused, refusalOf } from "./errors.js";
import { RETRIES, sleep, waitAfter } from "./retries.js";
import { stream } from "./stream.js";

/** @import * as models from "./models/index.js" */
/** @import { NewRule, NewTrade } from "./requests.js" */

/** @typedef {string | number | boolean | Date | string[] | undefined} Value */
/** @typedef {{ start?: string | number | Date, end?: string | number | Date, order?: "asc" | "desc", limit?: number }} Range */

const MOST_TRADES = 1000;

/** A client of the service. Each method returns the answer's JSON, and throws one of the errors in `errors.js`. */
export class Client {
  /**
   * @param {string} url
   * @param {object} [options]
   * @param {string} [options.apiKey]
   * @param {number} [options.timeout] seconds for an answer; 15
   * @param {"number" | "string"} [options.numbers] "string" keeps every digit of decimals
   * @param {import("./retries.js").Retries} [options.retries]
   */
  constructor(url, { apiKey, timeout = 15, numbers = "number", retries = RETRIES } = {}) {
    this.url = url.replace(/\/$/, "");
    this.timeout = timeout;
    this.numbers = numbers;
    this.retries = retries;
    /** @type {Record<string, string>} */
    this.headers = apiKey ? { Authorization: `Bearer ${apiKey}` } : {};
  }

  /** @param {string} asset @param {{ details?: boolean }} [query] @returns {Promise<models.Price>} */
  price = (asset, query) => this.get(["prices", asset], query);
  /** @param {{ assets?: string[], tier?: string, details?: boolean }} query @returns {Promise<models.PriceList>} */
  prices = (query) => this.get(["prices"], query);
  /** @param {string} asset @returns {Promise<models.PriceSources>} */
  sources = (asset) => this.get(["prices", asset, "sources"]);
  /** @param {string[]} assets @returns {Promise<models.SparklineList>} */
  sparklines = (assets) => this.get(["sparklines"], { assets });
  /** @param {string} asset @returns {Promise<models.RefreshedPrice>} */
  refresh = (asset) => this.send("POST", ["refresh", asset]);

  /** Yields stored prices, newest first. @param {string} asset @param {Range} [range] @returns {AsyncGenerator<models.StoredPrice>} */
  history = (asset, range) => this.pages(["prices", asset, "history"], "prices", range);
  /** @param {string} asset @param {string | number | Date} time @returns {Promise<models.StoredPrice>} */
  priceAt = (asset, time) => this.get(["prices", asset, "at"], { time });
  /** @param {string} asset @param {{ interval?: string, start?: string | number | Date, end?: string | number | Date, source?: "prices" | "trades" }} [query] @returns {Promise<models.CandleList>} */
  candles = (asset, query) => this.get(["prices", asset, "candles"], { interval: "1m", ...query });

  /** Yields stored trades, newest first. @param {string} asset @param {Range} [range] @returns {AsyncGenerator<models.Trade>} */
  trades = (asset, range) => this.pages(["trades", asset], "trades", range);
  /** @param {string} asset @returns {Promise<models.Quote>} */
  quote = (asset) => this.get(["quotes", asset]);
  /** @param {string} asset @returns {Promise<models.Aggregations>} */
  aggregations = (asset) => this.get(["aggregations", asset]);
  /** @param {string} asset @returns {Promise<models.Features>} */
  features = (asset) => this.get(["features", asset]);
  /** @param {string} asset @param {{ hours?: number, limit?: number }} [query] @returns {Promise<models.AnomalyPage>} */
  anomalies = (asset, query) => this.get(["anomalies", asset], query);
  /** @param {string} asset @param {{ hours?: number }} [query] @returns {Promise<models.SentimentPage>} */
  sentiment = (asset, query) => this.get(["sentiment", asset], query);

  /** Yields signals on paper, newest first. @param {string} asset @param {Range} [range] @returns {AsyncGenerator<models.Signal>} */
  signals = (asset, range) => this.pages(["signals", asset], "signals", range);
  /** @param {{ asset?: string }} [query] @returns {Promise<models.OpenPositions>} */
  positions = (query) => this.get(["positions"], query);
  /** Yields closed positions on paper, newest first. @param {{ asset?: string, limit?: number }} [query] @returns {AsyncGenerator<models.ClosedPosition>} */
  closedPositions = (query) => this.pages(["positions", "closed"], "positions", query, ["asset"]);

  /** @returns {Promise<models.AlertRuleList>} */
  alertRules = () => this.get(["alerts"]);
  /** @param {NewRule} rule @returns {Promise<models.AlertRule>} */
  addAlertRule = (rule) => this.send("POST", ["alerts"], {}, { body: rule });
  /** @param {string} id @returns {Promise<models.AlertRuleDeleted>} */
  deleteAlertRule = (id) => this.send("DELETE", ["alerts", id], {}, { isRepeatable: false });
  /** @param {string} asset @param {{ hours?: number, limit?: number }} [query] @returns {Promise<models.FiredAlerts>} */
  firedAlerts = (asset, query) => this.get(["alerts", "fired", asset], query);

  /** @returns {Promise<models.AssetList>} */
  assets = () => this.get(["assets"]);
  /** @returns {Promise<models.ExchangeReports>} */
  exchanges = () => this.get(["exchanges"]);
  /** @param {string} name @returns {Promise<models.ExchangeReport>} */
  exchange = (name) => this.get(["exchanges", name]);
  /** @returns {Promise<models.Health>} */
  health = () => this.get(["health"]);

  /**
   * Whether the service is ready, and the reasons why not. A service that is not ready is no error.
   * @returns {Promise<models.Readiness>}
   */
  async ready() {
    const answer = await this.fetch("GET", this.address(["ready"]));
    if (answer.ok) return await jsonOf(answer);
    const refusal = await refusalOf(answer);
    if (answer.status === 503 && "ready" in refusal.body) return /** @type {any} */ (refusal.body);
    throw refusal;
  }

  /**
   * Store trades, any number of them, in batches of 1000. A batch is sent again after a lost connection, a 503 or a 429,
   * which stores no trade twice. The answers of the batches come one by one, also that to a batch without any valid
   * trade; `rejected` is by place in the batch. Throws Refused in the end if no batch had a valid trade.
   * @param {NewTrade[]} trades
   * @returns {AsyncGenerator<models.Ingested>}
   */
  async *ingest(trades) {
    /** @type {Refused | null} */
    let refusal = null;
    let isAnyValid = false;
    for (let first = 0; first < trades.length; first += MOST_TRADES) {
      const answer = await this.batch(trades.slice(first, first + MOST_TRADES));
      if (answer instanceof Refused) refusal = answer;
      else isAnyValid = true;
      yield answer instanceof Refused ? ingestedOf(answer) : answer;
    }
    if (refusal && !isAnyValid) throw refusal;
  }

  /**
   * Send one batch; return the answer, or the refusal of a batch without any valid trade.
   * @param {NewTrade[]} trades
   * @returns {Promise<models.Ingested | Refused>}
   */
  async batch(trades) {
    try {
      return await this.send("POST", ["ingest"], {}, { body: trades });
    } catch (error) {
      if (error instanceof Refused && error.code === "no_valid_trade") return error;
      throw error;
    }
  }

  /**
   * Every new value of topics, over lost connections. See `stream.js` for the options.
   * @param {import("./stream.js").StreamOptions} [options]
   */
  stream(options = {}) {
    const { topics, assets, tiers } = options;
    const address = this.address(["stream"], { topics, assets, tier: tiers, numbers: this.numbers });
    /** @param {Record<string, string>} headers @param {AbortSignal} signal */
    const connect = (headers, signal) => fetch(address, { headers: { ...this.headers, ...headers }, signal });
    return stream(connect, options, this.retries.attempts);
  }

  /** @param {string[]} path @param {Record<string, Value>} [query] @returns {Promise<any>} */
  get(path, query = {}) {
    return this.send("GET", path, query);
  }

  /**
   * Yield the items of all pages. The cursor contains range and order, so `kept` names what is sent with it.
   * @param {string[]} path @param {string} items @param {Record<string, Value>} [query] @param {string[]} [kept]
   * @returns {AsyncGenerator<any>}
   */
  async *pages(path, items, query = {}, kept = []) {
    const first = { limit: 1000, ...query };
    const page = { limit: first.limit, ...Object.fromEntries(kept.map((name) => [name, query[name]])) };
    for (let found = await this.get(path, first); ; ) {
      yield* found[items];
      if (found.next === null) return;
      found = await this.get(path, { ...page, cursor: found.next });
    }
  }

  /**
   * Send a request, again where that helps, and return the answer's JSON.
   * @param {string} method @param {string[]} path @param {Record<string, Value>} [query]
   * @param {{ body?: unknown, isRepeatable?: boolean }} [options]
   * @returns {Promise<any>}
   */
  async send(method, path, query = {}, { body, isRepeatable = true } = {}) {
    const numbered = takesNumbers(method, path) ? { ...query, numbers: this.numbers } : query;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const answer = await this.fetch(method, this.address(path, numbered), body);
        if (answer.ok) return await jsonOf(answer);
        throw await refusalOf(answer);
      } catch (failure) {
        const wait = isRepeatable ? waitAfter(this.retries, failure, attempt) : null;
        if (wait === null) throw failure;
        await sleep(wait);
      }
    }
  }

  /** @param {string} method @param {string} address @param {unknown} [body] */
  async fetch(method, address, body) {
    const headers = { Accept: "application/json", ...this.headers, ...(body ? { "Content-Type": "application/json" } : {}) };
    const signal = AbortSignal.timeout(this.timeout * 1000);
    try {
      return await fetch(address, { method, headers, body: body ? JSON.stringify(body) : undefined, signal });
    } catch (error) {
      throw new ConnectionFailed(error);
    }
  }

  /** @param {string[]} path @param {Record<string, Value>} [query] */
  address(path, query = {}) {
    const parts = path.map((part) => encodeURIComponent(part.replaceAll("/", "-")));
    const given = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, text(value)]]));
    return `${this.url}/${parts.join("/")}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
  }
}

const WITH_NUMBERS = new Set(["prices", "refresh", "trades", "quotes", "signals", "positions", "alerts"]);

/** @param {string} method @param {string[]} path */
function takesNumbers(method, path) {
  return WITH_NUMBERS.has(path[0] ?? "") && (method === "GET" || path[0] === "refresh");
}

/** @param {Refused} refusal @returns {models.Ingested} */
function ingestedOf(refusal) {
  const { msg, accepted, duplicates, rejected, rejected_count } = /** @type {any} */ (refusal.body);
  return { message: msg, accepted, duplicates, rejected, rejected_count };
}

/** @param {Exclude<Value, undefined>} value */
function text(value) {
  if (value instanceof Date) return value.toISOString();
  return Array.isArray(value) ? value.join(",") : String(value);
}
