/** Asking for the shopper's reservations, and which of them the shopper has seen the end of. */

import { ApiError, backoff } from "../common/api.js";

const FRESH_MS = 5_000;
const MOST_READ = 50;

/** The question for all of them, asked when there is reason to. */
export class Mine {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    this.tries = 0;
    this.turn = 0; // what is asked and what is told, numbered in one row
    this.told = 0; // the number of what was told last
  }

  /** Whether it was asked for just now. */
  get fresh() {
    return performance.now() - (this.at ?? -Infinity) <= FRESH_MS;
  }

  /** Something about one of them was told otherwise: the answer to what was asked before may not know it. */
  news() {
    this.told = this.turn += 1;
  }

  async ask() {
    const { app } = this;
    this.at = performance.now();
    const turn = this.turn += 1;
    let list;
    try {
      list = (await app.shopper.call(`${app.base}/reservations/mine`)).data.reservations;
    } catch (error) {
      this.at = null;
      // A token that the login has just given and the API refuses may be of a login whose clock is wrong: not for ever.
      if (error instanceof ApiError ? error.passing : error.refused) this.later(error);
      if (!(error instanceof ApiError && error.passing)) app.failed(error);
      return;
    }
    app.model.out = false;
    if (turn < this.told) return this.ask();
    this.told = turn;
    this.tries = 0;
    app.setMine(list);
  }

  later(error) {
    clearTimeout(this.timer);
    this.tries += 1;
    const wait = backoff(Math.min(this.tries, 6), error.retryAfterMs, { base: 1000, most: 30_000 });
    this.timer = setTimeout(() => document.visibilityState !== "hidden" && this.ask(), wait);
  }
}

/** The reservations whose end the shopper has seen: they are not shown by themselves again. */
export class ReadMarks {
  /** @param {string} place  of the browser's storage */
  constructor(place) {
    this.place = place;
    this.here = new Set(); // for as long as the page lasts, where storage is blocked
  }

  /** @returns {Set<string>} */
  all() {
    try {
      return new Set([...JSON.parse(localStorage.getItem(this.place) || "[]"), ...this.here]);
    } catch {
      return this.here;
    }
  }

  /** @param {string[]} ids */
  add(ids) {
    for (const id of ids) this.here.add(id);
    try {
      localStorage.setItem(this.place, JSON.stringify([...this.all()].slice(-MOST_READ)));
    } catch {
      // Storage is blocked: then they are shown again after a reload.
    }
  }
}
