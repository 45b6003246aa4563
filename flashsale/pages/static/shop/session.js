/** Who the shopper is: a guest of the shop, or a customer of the brand's own login. Tokens are never in an address. */

import { alone, show, shown } from "../common/alone.js";
import { ApiError, ask, backoff, pause } from "../common/api.js";

const SPARE_MS = 60_000; // a token is renewed by so much before it ends
const TRIES = 6;

/** There is no token, and only the shopper can change that: by logging in. */
export class LoginNeeded extends Error {}

/** Tokens for one page. */
export class Session {
  /**
   * @param {{api: string, guests: boolean, token_url: string | null, login_url: string | null}} config
   * @param {() => number} now  the server's time in milliseconds
   */
  constructor(config, now) {
    this.config = config;
    this.now = now;
    this.token = null;
    this.asking = null;
    this.place = `fs:guest:${new URL(config.api || "/", location.href).origin}`;
  }

  /**
   * A token that should be good.
   * @param {string | null} [refused]  a token that the server has just refused, not to be given again
   * @param {number} [at]  when it is to be used, by the server's time
   * @returns {Promise<string>}
   * @throws {LoginNeeded | ApiError}
   */
  async get(refused = null, at = this.now()) {
    const known = this.known(at);
    if (known && known !== refused) return known;
    this.asking ||= this.fetched(refused).finally(() => {
      this.asking = null;
    });
    return this.asking;
  }

  /** Where a shopper logs in and is led back from; null where nobody can. */
  get loginUrl() {
    const url = this.config.login_url;
    if (!url) return null;
    return `${url}${url.includes("?") ? "&" : "?"}return_to=${encodeURIComponent(location.href)}`;
  }

  known(at) {
    if (!this.config.token_url) this.token = this.stored();
    if (!this.token) return null;
    const ends = endOf(this.token);
    return ends === null || ends - (this.brief ? 0 : SPARE_MS) > at ? this.token : null;
  }

  stored() {
    try {
      return JSON.parse(localStorage.getItem(this.place) || "{}").token || this.token;
    } catch {
      return this.token;
    }
  }

  async fetched(refused) {
    const { config } = this;
    if (config.token_url) this.token = await this.patiently(() => this.own());
    else if (config.guests) this.token = await alone(this.place, () => this.guest(refused));
    else throw new LoginNeeded("there is no login");
    const ends = endOf(this.token);
    this.brief = ends !== null && ends - this.now() <= 2 * SPARE_MS; // it would be spare most of its life: used to its end
    return this.token;
  }

  async own() {
    const answer = await ask(this.config.token_url, { credentials: "include" });
    const token = answer.data?.token;
    if (typeof token !== "string") throw new LoginNeeded("the login gave no token");
    return token;
  }

  async guest(refused) {
    // Another tab may have been quicker, and what it has written not be seen here yet.
    const others = [this.stored(), ...await shown(this.place)];
    const other = others.find((each) => each && each !== refused && (endOf(each) ?? Infinity) - SPARE_MS > this.now());
    if (other) return other;
    const { data } = await this.patiently(() => ask(`${this.config.api}/v1/guests`, { method: "POST" }));
    try {
      localStorage.setItem(this.place, JSON.stringify({ token: data.token }));
    } catch {
      // Storage is blocked: the guest lasts as long as the page.
    }
    await show(this.place, data.token);
    return data.token;
  }

  async patiently(attempt) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 401 || error.status === 403) throw new LoginNeeded(error.code);
        if (!error.passing || tries === TRIES) throw error;
        await pause(backoff(tries, error.retryAfterMs));
      }
    }
  }
}

/** When a JSON Web Token ends, in milliseconds; null when it does not say so. */
export function endOf(token) {
  try {
    const payload = JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
    return typeof payload.exp === "number" ? payload.exp * 1000 : null;
  } catch {
    return null;
  }
}
