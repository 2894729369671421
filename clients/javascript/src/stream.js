import { ConnectionFailed, jsonIn, Refused, refusalOf } from "./errors.js";
import { backoff, sleep } from "./retries.js";
import { Parser } from "./sse.js";

/** @typedef {import("./events.js").StreamEvent} StreamEvent */

/**
 * @typedef {object} StreamOptions
 * @property {string[]} [topics] prices, without it
 * @property {string[]} [assets]
 * @property {string[]} [tiers]
 * @property {string} [lastEventId] resumes a stream of an earlier run
 * @property {AbortSignal} [signal] ends the stream
 * @property {number} [heartbeatTimeout] seconds without a byte after which a connection is taken for lost; 45
 * @property {number} [attempts] connections in a row that may fail; without it, a stream that had one never gives up
 * @property {number} [firstWait] seconds before the second connection; 1
 * @property {(failure: Error, seconds: number) => void} [onLost] is told of a lost connection, and of the wait
 */

/**
 * Yield the events of a stream, over lost connections: it is resumed by the id of the last event, so nothing is missed.
 * If the service no longer has the missed events, there is an event `gap`, and then snapshots. `break` or the signal
 * ends it.
 *
 * @param {(headers: Record<string, string>, signal: AbortSignal) => Promise<Response>} connect
 * @param {StreamOptions} options
 * @param {number} firstAttempts of the first connection
 * @returns {AsyncGenerator<StreamEvent, void, void>}
 */
export async function* stream(connect, options, firstAttempts) {
  const policy = { attempts: 0, firstWait: options.firstWait ?? 1, longestWait: 30 };
  let lastId = options.lastEventId ?? "";
  let failures = 0;
  let hadConnection = false;
  while (!options.signal?.aborted) {
    const parser = new Parser(lastId);
    const ending = new AbortController();
    const end = () => ending.abort(options.signal?.reason);
    options.signal?.addEventListener("abort", end, { once: true });
    /** @type {Error} */
    let failure = new ConnectionFailed("the service ended the connection");
    try {
      for await (const text of texts(connect, lastId, ending, options.heartbeatTimeout ?? 45)) {
        hadConnection = true;
        failures = 0;
        for (const { name, data, id } of parser.feed(text)) {
          lastId = id;
          const value = jsonIn(data);
          if (name !== "end") yield /** @type {StreamEvent} */ ({ type: name, data: value, id });
        }
      }
    } catch (error) {
      if (!(error instanceof Refused || error instanceof ConnectionFailed)) throw error;
      failure = error;
    } finally {
      options.signal?.removeEventListener("abort", end);
      ending.abort();
    }
    if (options.signal?.aborted) return;
    failures += 1;
    const most = hadConnection ? (options.attempts ?? Infinity) : firstAttempts;
    if (failures >= most || !mayPass(failure, hadConnection)) throw failure;
    const asked = failure instanceof Refused ? failure.retryAfter : null;
    const least = (parser.retry ?? 0) * (0.5 + Math.random() / 2);
    const seconds = asked === null ? Math.max(backoff(policy, failures), least) : asked + Math.random();
    options.onLost?.(failure, seconds);
    await sleep(seconds, options.signal).catch(() => {}); // the signal has ended the stream
  }
}

/**
 * Whether another connection may succeed. While a deployment is replaced, its proxy answers 502 or 504.
 * @param {Error} failure
 * @param {boolean} hadConnection
 */
function mayPass(failure, hadConnection) {
  return !(failure instanceof Refused) || failure.isPassing || (hadConnection && failure.status >= 500);
}

/**
 * Yield the text of one connection. Throws ConnectionFailed when it is lost or silent, and Refused.
 * @param {(headers: Record<string, string>, signal: AbortSignal) => Promise<Response>} connect
 * @param {string} lastId
 * @param {AbortController} ending
 * @param {number} heartbeatTimeout
 * @returns {AsyncGenerator<string>}
 */
async function* texts(connect, lastId, ending, heartbeatTimeout) {
  const silent = () => ending.abort(new Error(`nothing came for ${heartbeatTimeout} s`));
  let timer = setTimeout(silent, heartbeatTimeout * 1000);
  try {
    const headers = { Accept: "text/event-stream", ...(lastId && { "Last-Event-ID": lastId }) };
    const answer = await connect(headers, ending.signal).catch(lost);
    if (!answer.ok) throw await refusalOf(answer);
    const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
    const decoder = new TextDecoder();
    while (true) {
      const { done, value } = await reader.read().catch(lost);
      clearTimeout(timer);
      if (done) return;
      yield decoder.decode(value, { stream: true });
      timer = setTimeout(silent, heartbeatTimeout * 1000);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** @param {unknown} error @returns {never} */
function lost(error) {
  throw new ConnectionFailed(error);
}
