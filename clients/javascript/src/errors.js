/** An answer with an error status. `code` is stable and can be compared; `message` is for people. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {{ msg?: string, code?: string, near?: string[], left_out?: import("./models/index.js").LeftOut[] }} body
   * @param {string | null} retryAfter
   */
  constructor(status, body, retryAfter) {
    super(`${status} ${body.code ?? ""}: ${body.msg ?? ""}`);
    this.name = "Refused";
    this.status = status;
    this.code = body.code ?? "";
    /** All fields of the body. */
    this.body = body;
    /** Names that an unknown name may mean. */
    this.near = body.near ?? [];
    /** Seconds to wait before the next attempt; null if the service names none. */
    this.retryAfter = retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null;
  }

  /** Whether another attempt may succeed: overload or a rate limit, but not too many wrong keys. */
  get isPassing() {
    return (this.status === 503 || this.status === 429) && this.code !== "too_many_invalid_keys";
  }
}

/** The service cannot be reached, the connection was lost, or no answer came in time. `cause` has the reason. */
export class ConnectionFailed extends Error {
  /** @param {unknown} cause */
  constructor(cause) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = "ConnectionFailed";
  }
}

/** An answer that is no JSON: another program answers there. */
export class InvalidAnswer extends Error {
  /** @param {string} text */
  constructor(text) {
    super(`no JSON: ${text.slice(0, 200)}`);
    this.name = "InvalidAnswer";
  }
}

/**
 * The text of an answer. Throws ConnectionFailed if the connection is lost before its end.
 * @param {Response} answer
 * @returns {Promise<string>}
 */
async function textOf(answer) {
  try {
    return await answer.text();
  } catch (error) {
    throw new ConnectionFailed(error);
  }
}

/**
 * The JSON of an answer. Throws ConnectionFailed, and InvalidAnswer.
 * @param {Response} answer
 * @returns {Promise<any>}
 */
export async function jsonOf(answer) {
  return jsonIn(await textOf(answer));
}

/**
 * The JSON in a text. Throws InvalidAnswer.
 * @param {string} text
 * @returns {any}
 */
export function jsonIn(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidAnswer(text);
  }
}

/**
 * The error of an answer. A body that is not the service's, such as a proxy's page, is the message.
 * @param {Response} answer
 */
export async function refusalOf(answer) {
  const text = await textOf(answer);
  return new Refused(answer.status, parsed(text) ?? { msg: text.slice(0, 200) }, answer.headers.get("Retry-After"));
}

/** @param {string} text */
function parsed(text) {
  try {
    const body = JSON.parse(text);
    return body !== null && typeof body === "object" ? body : null;
  } catch {
    return null;
  }
}
