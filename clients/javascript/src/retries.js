import { ConnectionFailed, Refused } from "./errors.js";

/**
 * @typedef {object} Retries
 * @property {number} attempts in all
 * @property {number} firstWait seconds before the second attempt; doubled with each one after it
 * @property {number} longestWait seconds; an error whose Retry-After is longer is thrown at once
 */

/** @type {Retries} */
export const RETRIES = { attempts: 4, firstWait: 0.5, longestWait: 30 };

/**
 * The random wait after an attempt, counted from 1, in seconds: from half of the doubled wait to all of it.
 * @param {Retries} policy
 * @param {number} attempt
 */
export function backoff(policy, attempt) {
  const longest = Math.min(policy.longestWait, policy.firstWait * 2 ** (attempt - 1));
  return longest * (0.5 + Math.random() / 2);
}

/**
 * The wait after a failed attempt, in seconds; null if the failure is final.
 * @param {Retries} policy
 * @param {unknown} failure
 * @param {number} attempt
 */
export function waitAfter(policy, failure, attempt) {
  const isPassing = failure instanceof Refused ? failure.isPassing : failure instanceof ConnectionFailed;
  if (attempt >= policy.attempts || !isPassing) return null;
  const asked = failure instanceof Refused ? failure.retryAfter : null;
  if (asked === null) return backoff(policy, attempt);
  return asked <= policy.longestWait ? asked + Math.random() * policy.firstWait : null;
}

/**
 * Resolve after so many seconds; reject at once if the signal ends.
 * @param {number} seconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const end = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", end, { once: true });
  });
}
