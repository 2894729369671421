// GET requests of the service's JSON, with failures in words that a reader of the page understands.

const PATIENCE = 10; // seconds

/** Return the JSON of a GET. A refusal is thrown as an Error with its message and, as `body`, the response. */
export async function ask(path) {
  const [response, body] = await fetched(path);
  if (!response.ok) throw Object.assign(new Error(body.msg ?? response.statusText), { body, status: response.status });
  return body;
}

async function fetched(path) {
  try {
    const response = await fetch(path, { signal: AbortSignal.timeout(1000 * PATIENCE) });
    return [response, await response.json()];
  } catch (error) {
    throw new Error(failureOf(error), { cause: error });
  }
}

function failureOf(error) {
  if (error.name === "TimeoutError") return `the service has not answered within ${PATIENCE} s`;
  return error.name === "SyntaxError" ? "the answer is no JSON" : "the service cannot be reached";
}
