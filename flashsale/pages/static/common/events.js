/**
 * The live view of a sale: server-sent events, or questions at jittered intervals where streams do not work.
 *
 * It sleeps while nobody looks at the page, asks at once when somebody does again, and slows down when it is told to.
 */

import { ApiError, ask, backoff } from "./api.js";

const FAILURES_TO_POLL = 2;
const STREAM_AGAIN_MS = 60_000;
const FIRST_MS = 15_000; // a stream tells how things are as soon as it is there
const QUIET_MS = 120_000; // what it says while nothing happens only the browser hears: now and then it is put to the test
const LATE_MS = 3_000;
const SLOWEST_MS = 60_000;

/**
 * @typedef {object} Frame
 * @property {any} data  the public view of the sale
 * @property {"stream" | "poll"} by
 * @property {number} [sentAt]  of a poll, by performance.now()
 * @property {number} receivedAt
 */

/** Follows one sale until it is closed. */
export class LiveSale {
  /**
   * @param {object} options
   * @param {string} options.api  base address of the API, "" for this origin
   * @param {string} options.sale
   * @param {number} [options.pollSeconds]
   * @param {(frame: Frame) => void} options.onframe
   * @param {(error: ApiError) => void} [options.onerror]  a question that was not answered as hoped; it goes on by itself
   * @param {(way: "stream" | "poll" | "asleep") => void} [options.onway]
   */
  constructor({ api, sale, pollSeconds = 5, onframe, onerror, onway }) {
    this.url = `${api}/v1/sales/${encodeURIComponent(sale)}`;
    this.pollMs = pollSeconds * 1000;
    [this.onframe, this.onerror, this.onway] = [onframe, onerror || (() => {}), onway || (() => {})];
    this.failures = 0;
    this.tries = 0;
    this.notBefore = 0;
    this.way = "";
    this.closed = true;
    this.visible = () => this.look();
  }

  /** Begins. */
  start() {
    this.closed = false;
    document.addEventListener("visibilitychange", this.visible);
    window.addEventListener("pageshow", this.visible);
    window.addEventListener("online", this.visible);
    this.look();
    return this;
  }

  /** Ends for good. */
  close() {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.visible);
    window.removeEventListener("pageshow", this.visible);
    window.removeEventListener("online", this.visible);
    clearTimeout(this.hiding);
    this.stop();
    this.way = "";
  }

  /** Asks once; the answer comes as a frame. Never two at a time, and not before the time that the server has asked for. */
  async refresh() {
    if (performance.now() < this.notBefore) return;
    this.asking ||= this.question().finally(() => {
      this.asking = null;
    });
    await this.asking;
  }

  stop() {
    clearTimeout(this.pollTimer);
    clearTimeout(this.streamTimer);
    clearTimeout(this.silence);
    this.source?.close();
    this.source = this.silence = null;
  }

  look() {
    if (this.closed) return;
    if (document.visibilityState === "hidden") {
      // Streams cost the server something and nobody looks: but a glance at another tab needs no new connection.
      clearTimeout(this.hiding);
      this.hiding = setTimeout(() => {
        if (document.visibilityState !== "hidden") return;
        this.stop();
        this.tell("asleep");
      }, 20_000);
      return;
    }
    clearTimeout(this.hiding);
    this.refresh();
    if (this.way !== "stream" || !this.source) this.begin();
  }

  begin() {
    if (this.closed) return;
    this.stop();
    if (typeof EventSource === "function" && this.failures < FAILURES_TO_POLL) this.stream();
    else this.poll();
  }

  stream() {
    this.tell("stream");
    const source = new EventSource(`${this.url}/live`);
    this.source = source;
    // A stream behind some proxies is held back and never says anything.
    this.silence = setTimeout(() => this.giveUpStream(), FIRST_MS);
    let spoke = false;
    source.onopen = () => {
      if (spoke) this.failures = 0; // cut, and taken up again: there may be nothing new to say
    };
    source.onmessage = (event) => {
      spoke = true;
      this.failures = 0;
      this.tries = 0;
      this.heard = event.data;
      this.listen();
      this.onframe({ data: JSON.parse(event.data), by: "stream", receivedAt: performance.now() });
    };
    source.onerror = () => {
      if (source !== this.source) return;
      this.failures += 1;
      // Refused: the browser tries no more. Or nobody there: questions say more than silence.
      if (source.readyState === EventSource.CLOSED || this.failures >= FAILURES_TO_POLL) this.giveUpStream();
    };
  }

  giveUpStream() {
    this.failures = FAILURES_TO_POLL;
    this.begin();
  }

  /** Waits for a long silence: then the view is asked for, and the stream must know what it says. */
  listen(ms = QUIET_MS * (0.75 + Math.random() / 2)) {
    clearTimeout(this.silence);
    const silence = setTimeout(async () => {
      this.asked = null;
      await this.refresh();
      if (this.silence !== silence) return; // it was left meanwhile, or has spoken
      if (!this.asked) this.listen(this.waitMs()); // nothing was answered, which says nothing of the stream
      else if (plain(this.asked) === plain(JSON.parse(this.heard))) this.listen();
      else this.silence = setTimeout(() => this.giveUpStream(), LATE_MS); // unless it speaks up by then
    }, ms);
    this.silence = silence;
  }

  poll() {
    this.tell("poll");
    clearTimeout(this.streamTimer);
    this.streamTimer = setTimeout(() => {
      this.failures = FAILURES_TO_POLL - 1;
      this.begin();
    }, STREAM_AGAIN_MS * (0.75 + Math.random() / 2));
    this.later(this.waitMs());
  }

  later(ms) {
    clearTimeout(this.pollTimer);
    this.pollTimer = setTimeout(async () => {
      await this.refresh();
      if (!this.closed && this.way === "poll") this.later(this.waitMs());
    }, ms);
  }

  waitMs() {
    const usual = this.pollMs * (0.75 + Math.random() / 2);
    const slower = this.tries > 1 ? backoff(this.tries - 1, 0, { base: this.pollMs, most: SLOWEST_MS }) : 0;
    return Math.max(usual, slower, this.notBefore - performance.now() + Math.random() * this.pollMs);
  }

  async question() {
    try {
      const { data, sentAt, receivedAt } = await ask(this.url);
      this.tries = 0;
      this.asked = data;
      if (!this.closed) this.onframe({ data, by: "poll", sentAt, receivedAt });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.tries += 1;
      this.notBefore = performance.now() + (error.retryAfterMs ?? 0);
      if (!this.closed) this.onerror(error);
    }
  }

  tell(way) {
    if (this.way === way) return;
    this.way = way;
    this.onway(way);
  }
}

/** A view without the time at which it was made. */
function plain(view) {
  return JSON.stringify({ ...view, server_time: null });
}
