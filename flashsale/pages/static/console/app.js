/** What the console knows: the API key, which lives here and nowhere else, and the way to ask with it. */

import { ApiError, ask } from "../common/api.js";
import { ServerClock } from "../common/clock.js";

const PROBE = "no-such-sale"; // asked about when there is no sale yet: 404 then means that the key is a good one

/** One operator's session. A reload ends it. */
export class App {
  /** The key is in no member that anything else could print or keep. */
  #key = "";

  /**
   * @param {{api: string, brand: string, languages: {code: string, name: string}[], poll_seconds: number}} config
   * @param {(why: "unauthenticated") => void} onlost  the key is no longer accepted
   */
  constructor(config, onlost) {
    this.config = config;
    this.onlost = onlost;
    this.clock = new ServerClock();
  }

  /** Whether somebody is logged in. */
  get open() {
    return this.#key !== "";
  }

  /**
   * Tries a key, and keeps it if it may look after sales.
   * @param {string} key
   * @throws {ApiError} 401 for a wrong key, 403 for one without the scope `sales`
   */
  async login(key) {
    const { sales } = (await ask(this.url("/v1/sales"))).data;
    const sale = sales[0]?.id || PROBE;
    try {
      await ask(this.url(`/v1/sales/${sale}/stats`), { token: key });
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "unknown_sale") throw error;
    }
    this.#key = key;
  }

  /** Forgets the key. */
  logout() {
    this.#key = "";
  }

  /** @param {string} path */
  url(path) {
    return `${this.config.api}${path}`;
  }

  /**
   * Asks the API with the key.
   * @param {string} path
   * @param {Parameters<typeof ask>[1]} [options]
   * @returns {Promise<any>} the JSON
   * @throws {ApiError}
   */
  async ask(path, options = {}) {
    const key = this.#key;
    try {
      const { data, sentAt, receivedAt } = await ask(this.url(path), { ...options, token: key });
      if (data?.server_time) this.clock.sample(data.server_time, sentAt, receivedAt);
      return data;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401 && key && key === this.#key) {
        this.logout();
        this.onlost("unauthenticated");
      }
      throw error;
    }
  }

  /**
   * The path of a sale.
   * @param {string} sale
   * @param {string} [rest]
   */
  sale(sale, rest = "") {
    return `/v1/sales/${encodeURIComponent(sale)}${rest}`;
  }
}
