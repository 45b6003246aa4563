/** Follows the reservation that is shown: as often as something may happen to it, and only while somebody looks. */

import { ApiError, backoff } from "../common/api.js";

const ACTIVE_MS = 1500;
const ACTIVE_TIMES = 40;
const UNDER_WAY = new Set(["queued", "requires_action", "processing", "paid"]);

/** Asks for the current reservation again and again. */
export class Follower {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.times = 0;
    this.errors = 0;
  }

  /** Asks when it is time to. */
  soon() {
    clearTimeout(this.timer);
    const wait = this.wait();
    if (wait !== null) this.timer = setTimeout(() => this.now(), wait);
  }

  /** Asks now. */
  async now() {
    clearTimeout(this.timer);
    const { current } = this.app;
    if (!current) return;
    if (current.id !== this.id) [this.id, this.times] = [current.id, 0];
    this.times += 1;
    try {
      const { data } = await this.app.shopper.call(`/v1/reservations/${current.id}`);
      this.errors = 0;
      this.app.adopt(data); // which calls soon()
    } catch (error) {
      this.errors += 1;
      this.retryAfterMs = error.retryAfterMs ?? null;
      if (!(error instanceof ApiError)) this.app.failed(error);
      this.soon(); // the shopper may log in again in another tab
    }
  }

  /** Milliseconds to the next question; null for none. */
  wait() {
    const { current, config, clock } = this.app;
    if (!current || document.visibilityState === "hidden") return null;
    if (this.errors) return backoff(Math.min(this.errors, 6), this.retryAfterMs, { base: 1000, most: 20_000 });
    const usual = Math.max(1, config.poll_seconds) * 1000 * (0.85 + Math.random() * 0.3);
    const status = current.payment?.status;
    if (current.status === "held") {
      const left = Date.parse(current.held_until) - clock.now();
      const wait = UNDER_WAY.has(status) ? this.active(current.payment, usual) : usual;
      // Just after its end, whatever else: then it is known what has become of it.
      return left > 0 ? Math.min(wait, left + 120) : 1000;
    }
    if (current.status === "expired" && UNDER_WAY.has(status)) return usual;
    if (status === "refunding" || (current.status !== "confirmed" && status === "paid")) return usual * 2;
    return null;
  }

  active({ status, wait_seconds: seconds }, usual) {
    if (status === "queued" && seconds > 1) return Math.min(seconds * 1000, 10_000);
    return this.times < ACTIVE_TIMES ? ACTIVE_MS * (0.7 + Math.random() * 0.4) : Math.max(usual, ACTIVE_MS);
  }
}
