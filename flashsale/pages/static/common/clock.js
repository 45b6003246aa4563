/**
 * The server's clock, as well as it can be known from here.
 *
 * An answer that was asked for at `sent` and came at `received` was made in between: so server time minus our time lies between
 * `said - received` and `said - sent`. Every sample narrows that down, the quickest round trip most; the middle is the estimate.
 * Ours is performance.now(), which nobody can set; where it stood still while the device slept, Date.now() tells by how much.
 */

const DRIFT = 1e-4; // by so much a clock may run wrong: samples are worth less as they age
const JUMP_MS = 750;

/** One server's clock. */
export class ServerClock {
  /**
   * @param {{now?: () => number, wall?: () => number, onjump?: () => void}} [options]  clocks for tests; `onjump` is called when
   *   the device seems to have slept, so that somebody asks the server again
   */
  constructor({ now = () => performance.now(), wall = () => Date.now(), onjump } = {}) {
    this.monotonic = now;
    this.wall = wall;
    this.onjump = onjump;
    this.low = -Infinity;
    this.high = Infinity;
    this.at = now();
    this.watchedAt = now();
    this.wallAt = wall();
    this.guess = this.wallAt - this.watchedAt; // until somebody tells: the device's own clock
  }

  /** Whether the server has been heard. */
  get known() {
    return this.low > -Infinity && this.high < Infinity;
  }

  /** By how many milliseconds the estimate may be wrong. */
  get uncertainty() {
    return (this.high - this.low) / 2;
  }

  /** Server time in milliseconds since 1970. */
  now() {
    this.watch();
    return this.monotonic() + this.offset();
  }

  offset() {
    if (this.known) return (this.low + this.high) / 2;
    return Math.min(Math.max(this.guess, this.low), this.high);
  }

  /**
   * An answer to a question.
   * @param {string | number} said  the server's time in it
   * @param {number} sentAt  by performance.now()
   * @param {number} receivedAt
   */
  sample(said, sentAt, receivedAt) {
    const server = new Date(said).getTime();
    if (!Number.isFinite(server)) return;
    this.narrow(server - receivedAt, server - sentAt);
  }

  /**
   * The server's time was at least this when the message came.
   * @param {string | number} said
   * @param {number} [receivedAt]
   */
  atLeast(said, receivedAt = this.monotonic()) {
    const server = new Date(said).getTime();
    if (Number.isFinite(server)) this.narrow(server - receivedAt, Infinity);
  }

  /**
   * The server's time was less than this when it had our question.
   * @param {string | number} said
   * @param {number} sentAt
   */
  before(said, sentAt) {
    const server = new Date(said).getTime();
    if (Number.isFinite(server)) this.narrow(-Infinity, server - sentAt);
  }

  narrow(low, high) {
    this.watch();
    const age = Math.max(0, this.monotonic() - this.at) * DRIFT;
    this.at = this.monotonic();
    [this.low, this.high] = [this.low - age, this.high + age];
    if (low > this.high || high < this.low) {
      // They cannot both be right: what was said last counts.
      const width = Math.max(this.high - this.low, 1);
      this.low = low > -Infinity ? low : high - width;
      this.high = high < Infinity ? high : low + width;
      if (!Number.isFinite(this.low)) this.low = -Infinity;
      if (!Number.isFinite(this.high)) this.high = Infinity;
      return;
    }
    this.low = Math.max(this.low, low);
    this.high = Math.min(this.high, high);
  }

  /** Notices that the device slept, or that somebody set its clock. */
  watch() {
    const [wall, now] = [this.wall(), this.monotonic()];
    const slept = wall - this.wallAt - (now - this.watchedAt);
    [this.wallAt, this.watchedAt] = [wall, now];
    if (Math.abs(slept) < JUMP_MS) return;
    if (slept > 0) {
      this.low += slept;
      this.high += slept;
      this.guess += slept;
    }
    // Somebody may have set the clock instead: nothing is certain until the server is asked again.
    this.low -= Math.abs(slept);
    this.high += Math.abs(slept);
    this.onjump?.();
  }
}
