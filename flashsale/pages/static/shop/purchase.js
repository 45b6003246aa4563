/**
 * One press is one request: an intent with one Idempotency-Key, kept until it is answered for good, so that a repetition, a
 * reload in the middle and a second tab all ask for the same reservation.
 */

import { alone, show, shown } from "../common/alone.js";
import { ApiError, backoff, pause } from "../common/api.js";
import { newKey } from "../common/key.js";

const OLDEST_MS = 5 * 60_000; // a press of long ago buys nothing any more
const SOON_MS = 5_000; // how long a press that came early is kept waiting for the opening
const TIMEOUT_MS = 8_000;

/**
 * @typedef {object} Intent
 * @property {string} key
 * @property {{sku: string, quantity: number}[]} items
 * @property {number} at  when it was pressed, by this device's clock
 * @property {number} [doneAt]  when it was answered for good
 * @property {number} [givenUpAt]  when it was given up: whether it was carried out is not known
 * @property {boolean} [again]  its key is that of a press that was given up; not kept
 */

/** Where the intent of one sale is kept. */
export class IntentStore {
  /** @param {string} place  of the browser's storage */
  constructor(place) {
    this.place = place;
    this.memory = null;
  }

  /** @returns {Intent | null} */
  read() {
    try {
      return JSON.parse(localStorage.getItem(this.place) || "null");
    } catch {
      return this.memory;
    }
  }

  /** @param {Intent} intent */
  write(intent) {
    this.memory = intent;
    try {
      localStorage.setItem(this.place, JSON.stringify(intent));
    } catch {
      // Storage is blocked: then a reload forgets it, and the limit of the sale is what prevents a second unit.
    }
  }

  /** The intent that a reload has interrupted, if it is not too old. */
  unanswered() {
    const found = this.read();
    return found && !found.doneAt && !found.givenUpAt && Date.now() - found.at < OLDEST_MS ? found : null;
  }

  /**
   * The intent of a press: that of another tab if it was pressed for the same just now, else a new one. Where the press before
   * was for the same and was given up, it has the key of that: if that is carried out late, the two are one.
   * @param {Intent["items"]} items
   * @returns {Promise<Intent>}
   */
  claim(items) {
    const pressedAt = Date.now();
    const choose = (found) => {
      const same = found && JSON.stringify(found.items) === JSON.stringify(items);
      if (same && found.givenUpAt) {
        return pressedAt - found.givenUpAt < OLDEST_MS ? { ...this.begin(items, found.key), again: true } : this.begin(items);
      }
      if (same && (found.doneAt ? found.doneAt >= pressedAt : pressedAt - found.at < OLDEST_MS)) return found;
      return this.begin(items);
    };
    return alone(this.place, async () => {
      const intent = choose(await this.latest());
      await show(this.place, { ...intent, again: undefined });
      return intent;
    });
  }

  /** The intent that was begun last, also where another tab has written it and it cannot be read here yet. */
  async latest() {
    const all = [this.read(), ...await shown(this.place)].filter(Boolean);
    return all.reduce((last, each) => (last && last.at >= each.at ? last : each), null);
  }

  /**
   * A press of now.
   * @param {Intent["items"]} items
   * @param {string} [key]
   * @returns {Intent}
   */
  begin(items, key = newKey()) {
    const intent = { key, items, at: Date.now() };
    this.write(intent);
    return intent;
  }

  /** @param {Intent} intent  answered for good */
  done(intent) {
    this.end(intent, { doneAt: Date.now() });
  }

  /** @param {Intent} intent  not answered */
  giveUp(intent) {
    this.end(intent, { givenUpAt: Date.now() });
  }

  end({ key, items, at }, how) {
    if (this.read()?.key === key) this.write({ key, items, at, ...how });
  }
}

/**
 * Sends an intent until it is answered for good, or until it is so old that nobody waits for it any more.
 * @param {Intent} intent
 * @param {object} means
 * @param {(options: object) => Promise<any>} means.send  asks the API as the shopper: takes method, body, key, signal, timeoutMs
 * @param {() => number} means.now  the server's time
 * @param {AbortSignal} means.signal
 * @param {(tries: number, error: ApiError) => void} means.ontrouble  it was not answered, and will be tried again
 * @param {(opensAt: number, sentAt: number) => void} means.onearly  it came too early, and will be tried again
 * @returns {Promise<any>} the reservation
 * @throws {ApiError} a refusal for good; an AbortError when it was given up
 */
export async function purchase(intent, { send, now, signal, ontrouble, onearly }) {
  let tries = 0;
  let early = 0;
  for (;;) {
    // The device may have slept meanwhile, or the line have been lost for hours.
    if (Date.now() - intent.at > OLDEST_MS) throw new DOMException("too old", "AbortError");
    const sentAt = performance.now();
    try {
      const body = { items: intent.items };
      return (await send({ method: "POST", body, key: intent.key, signal, timeoutMs: TIMEOUT_MS })).data;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === "not_open") {
        early += 1;
        const opensAt = Date.parse(error.problem.opens_at);
        onearly(opensAt, sentAt);
        const left = opensAt - now();
        if (!(left < SOON_MS) || early > 20) throw error;
        // By our clock it may be open already: then ours is ahead, by less and less as it learns.
        await pause(Math.max(left, 100 * early) + Math.random() * 100 * early, signal);
      } else if (error.passing) {
        tries += 1;
        ontrouble(tries, error);
        await pause(backoff(tries, error.retryAfterMs), signal);
      } else throw error;
    }
  }
}
