/** The API as this shopper uses it: with a token that is renewed when need be, and an eye on the line. */

import { ApiError, ask, backoff, pause } from "../common/api.js";
import { LoginNeeded, Session } from "./session.js";

const FAILURES_OFFLINE = 2;
const TRIES = 8;

/** One shopper at one API. */
export class Shopper {
  /**
   * @param {any} config  of /pages/config.json
   * @param {() => number} now  the server's time
   * @param {() => void} onchange  the line was lost, or is back
   */
  constructor(config, now, onchange) {
    this.api = config.api;
    this.session = new Session(config, now);
    this.onchange = onchange;
    this.failures = 0;
    this.codes = new Map();
  }

  get offline() {
    return navigator.onLine === false || this.failures >= FAILURES_OFFLINE;
  }

  get loginUrl() {
    return this.session.loginUrl;
  }

  /**
   * Asks once; a token that is refused is renewed once.
   * @param {string} path
   * @param {object} [options]  of `ask`
   * @returns {Promise<import("../common/api.js").Answer>}
   * @throws {ApiError | LoginNeeded}
   */
  async call(path, options = {}) {
    const url = this.api + path;
    let token = await this.session.get();
    try {
      return await this.heard(ask(url, { ...options, token }));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      token = await this.session.get(token);
    }
    try {
      return await this.heard(ask(url, { ...options, token }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        throw Object.assign(new LoginNeeded("the new token is refused too"), { refused: true });
      }
      throw error;
    }
  }

  /**
   * Repeats what may be repeated, while nobody answers.
   * @param {string} path
   * @param {object} [options]
   * @returns {Promise<import("../common/api.js").Answer>}
   */
  async insist(path, options = {}) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.call(path, { timeoutMs: 8000, ...options });
      } catch (error) {
        const hopeless = !(error instanceof ApiError) || !error.passing || error.code === "payments_unavailable";
        if (hopeless || tries === TRIES) throw error;
        await pause(backoff(tries, error.retryAfterMs));
      }
    }
  }

  /**
   * The code of an order as the address of a picture.
   * @param {string} id
   * @returns {Promise<string>}
   */
  code(id) {
    if (!this.codes.has(id)) {
      const picture = this.insist(`/v1/reservations/${id}/code`, { as: "blob" }).then(({ data }) => URL.createObjectURL(data));
      picture.catch(() => this.codes.delete(id));
      this.codes.set(id, picture);
    }
    return this.codes.get(id);
  }

  /**
   * Does before T0 what would have to be done at T0: gets a token that outlasts it, and has the browser ask whether another
   * origin takes our POST. What is sent for that is refused as incomplete: it reserves nothing.
   * @param {string} path
   * @param {number} opensAt
   * @throws {ApiError | LoginNeeded}
   */
  async warm(path, opensAt) {
    await this.session.get(null, opensAt);
    if (!this.api || new URL(this.api, location.href).origin === location.origin) return;
    await this.call(path, { method: "POST", body: {}, key: "none" }).catch(() => {});
  }

  async heard(answer) {
    try {
      const found = await answer;
      this.line(true);
      return found;
    } catch (error) {
      if (error instanceof ApiError) this.line(error.status !== 0);
      throw error;
    }
  }

  /** Notes whether the line works. */
  line(works) {
    const before = this.offline;
    this.failures = works ? 0 : this.failures + 1;
    if (before !== this.offline) this.onchange();
  }
}
