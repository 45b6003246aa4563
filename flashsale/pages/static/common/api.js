/** Asking the API: JSON in and out, problems as errors, a time limit on everything. */

export const TIMEOUT_MS = 10_000;

/** An answer that says no, or no answer at all (`status` 0, code `offline`). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code  the problem's stable name
   * @param {Record<string, any>} problem  the whole problem document
   * @param {number | null} retryAfterMs  what the header Retry-After says
   */
  constructor(status, code, problem, retryAfterMs) {
    super(problem.detail || code);
    this.status = status;
    this.code = code;
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same request may be answered otherwise later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {any} data  the JSON, null when there is none
 * @property {Headers} headers
 * @property {number} sentAt  by performance.now()
 * @property {number} receivedAt  by performance.now(), when the head of the answer was there
 */

/**
 * One request, one answer.
 * @param {string} url
 * @param {{method?: string, body?: any, token?: string | null, key?: string | null, timeoutMs?: number, signal?: AbortSignal,
 *   credentials?: RequestCredentials, as?: "json" | "blob"}} [options]  `body` is sent as JSON; `key` is the Idempotency-Key
 * @returns {Promise<Answer>}
 * @throws {ApiError} for every answer outside 200-299, and for none; an AbortError when `signal` says so
 */
export async function ask(url, options = {}) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), options.timeoutMs ?? TIMEOUT_MS);
  const stop = () => limit.abort();
  options.signal?.addEventListener("abort", stop);
  if (options.signal?.aborted) stop();
  const headers = { Accept: "application/json" };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (options.token) headers.Authorization = `Bearer ${options.token}`;
  if (options.key) headers["Idempotency-Key"] = options.key;
  const sentAt = performance.now();
  try {
    const answer = await fetch(url, {
      method: options.method || "GET",
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      cache: "no-store",
      credentials: options.credentials || "omit",
      signal: limit.signal,
    });
    const receivedAt = performance.now();
    if (!answer.ok) throw await refusal(answer);
    const data = options.as === "blob" ? await answer.blob() : await json(answer);
    return { status: answer.status, data, headers: answer.headers, sentAt, receivedAt };
  } catch (error) {
    if (options.signal?.aborted) throw new DOMException("given up", "AbortError");
    if (error instanceof ApiError) throw error;
    throw new ApiError(0, "offline", { detail: String(error) }, null);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", stop);
  }
}

async function json(answer) {
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

async function refusal(answer) {
  let problem = {};
  try {
    problem = (await json(answer)) || {};
  } catch {
    // Something between us and the server has answered: its status is all there is.
  }
  return new ApiError(answer.status, problem.code || `http_${answer.status}`, problem, retryAfter(answer.headers));
}

/**
 * What Retry-After says, in milliseconds; null for nothing.
 * @param {Headers} headers
 * @returns {number | null}
 */
export function retryAfter(headers) {
  const text = headers.get("Retry-After");
  if (!text) return null;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) * 1000 : null;
}

/**
 * How long to wait before try number `tries` + 1: exponential with full jitter, and never less than the server has asked for.
 * @param {number} tries  tries that have failed so far, from 1
 * @param {number | null} [retryAfterMs]
 * @param {{base?: number, most?: number}} [limits]
 * @returns {number}
 */
export function backoff(tries, retryAfterMs = null, { base = 500, most = 15_000 } = {}) {
  const spread = Math.random() * Math.min(most, base * 2 ** Math.min(tries, 16));
  return (retryAfterMs ?? 50) + spread;
}

/**
 * Resolves after a while, or rejects with an AbortError at once when the signal says so.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("given up", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
