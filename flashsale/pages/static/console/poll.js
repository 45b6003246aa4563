/** Asking again and again, gently. */

import { ApiError, backoff } from "../common/api.js";

/** Repeats a question: never two at a time, rarely while nobody looks, later each time that it fails. */
export class Poll {
  /**
   * @param {() => Promise<any>} question
   * @param {{every: number, hidden?: number, onerror?: (error: ApiError) => void}} options  milliseconds between an answer
   *   and the next question; `hidden` while the page is not seen
   */
  constructor(question, { every, hidden = 20_000, onerror = () => {} }) {
    [this.question, this.every, this.hidden, this.onerror] = [question, every, hidden, onerror];
    this.tries = 0;
    this.running = false;
    this.notBefore = 0;
    this.look = () => {
      if (document.visibilityState !== "hidden") this.soon();
    };
  }

  /** Begins, with a question at once. */
  start() {
    this.running = true;
    document.addEventListener("visibilitychange", this.look);
    window.addEventListener("online", this.look);
    this.turn();
    return this;
  }

  /** Ends for good. */
  stop() {
    this.running = false;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.look);
    window.removeEventListener("online", this.look);
  }

  /** Asks now, unless the server has asked for patience. */
  soon() {
    clearTimeout(this.timer);
    if (this.running) this.timer = setTimeout(() => this.turn(), Math.max(0, this.notBefore - performance.now()));
  }

  async turn() {
    if (!this.running || this.asking) return;
    this.asking = true;
    let wait = this.every;
    try {
      await this.question();
      this.tries = 0;
      this.notBefore = 0;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.tries += 1;
      wait = Math.max(this.every, backoff(this.tries, error.retryAfterMs, { base: this.every }));
      this.notBefore = performance.now() + (error.retryAfterMs ?? 0);
      if (this.running) this.onerror(error);
    } finally {
      this.asking = false;
      if (document.visibilityState === "hidden") wait = Math.max(wait, this.hidden);
      clearTimeout(this.timer);
      if (this.running) this.timer = setTimeout(() => this.turn(), wait * (0.9 + Math.random() / 5));
    }
  }
}
