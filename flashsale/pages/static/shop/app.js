/** The page as a whole: what is known, what the shopper can do, and what happens by itself. */

import { ApiError } from "../common/api.js";
import { ServerClock } from "../common/clock.js";
import { LiveSale } from "../common/events.js";
import { Follower } from "./follow.js";
import { leadToProvider, wasStartedHere, startedHere } from "./leaving.js";
import { Mine, ReadMarks } from "./mine.js";
import { IntentStore, purchase } from "./purchase.js";
import { LoginNeeded } from "./session.js";
import { Shopper } from "./shopper.js";
import { heldOf, live, mostOf, mostRelevant, stateOf, wanted } from "./state.js";

const WARM_MS = 60_000;
const LONGEST_MS = 3_600_000; // of a timer: clocks are looked at again by then
const ENDED = new Set(["expired", "cancelled", "refunded"]);

/** Everything behind what is drawn. `draw` is called whenever something may have changed. */
export class App {
  /**
   * @param {any} config  of /pages/config.json
   * @param {string} sale  its id
   * @param {() => void} draw
   */
  constructor(config, sale, draw) {
    this.config = config;
    this.saleId = sale;
    this.draw = draw;
    this.clock = new ServerClock({ onjump: () => this.feed?.refresh() });
    // Before the server's time is known no token is taken for over: a device's own clock may be days ahead.
    this.shopper = new Shopper(config, () => (this.clock.known ? this.clock.now() : 0), draw);
    this.intents = new IntentStore(`fs:intent:${config.api}:${sale}`);
    this.mine = new Mine(this);
    this.marks = new ReadMarks(`fs:read:${config.api}:${sale}`);
    /** @type {import("./state.js").Model} */
    this.model = {
      sale: null, trouble: null, out: false, mine: new Map(), currentId: null, browsing: false, buying: null, refusal: null,
      next: new Map(), choosing: false, starting: false, want: { sku: null, chosen: false, quantity: 1 },
    };
    this.notice = null; // code of a problem to show beside the button
    this.tries = 0; // of the purchase that is under way
    this.given = new Set(); // reservations that were given up here
    this.paidHere = ""; // the payment that the provider's form on this page has taken
    this.base = `/v1/sales/${encodeURIComponent(sale)}`;
  }

  get state() {
    return stateOf(this.model, this.clock.now());
  }

  get offline() {
    return this.shopper.offline;
  }

  /** The reservation that is shown. */
  get current() {
    return this.model.mine.get(this.model.currentId) || null;
  }

  start() {
    this.follower = new Follower(this);
    this.feed = new LiveSale({
      api: this.config.api,
      sale: this.saleId,
      pollSeconds: this.config.poll_seconds,
      onframe: (frame) => this.onframe(frame),
      onerror: (error) => this.onerror(error),
    }).start();
    this.tabs = typeof BroadcastChannel === "function" ? new BroadcastChannel(`fs:${this.config.api}:${this.saleId}`) : null;
    if (this.tabs) this.tabs.onmessage = ({ data }) => this.adopt(data, { told: true });
    document.addEventListener("visibilitychange", () => this.look());
    for (const name of ["pageshow", "focus"]) window.addEventListener(name, () => this.look());
    for (const name of ["online", "offline"]) window.addEventListener(name, () => this.draw());
    // A press that a reload has interrupted: the same request once more, before anything else can be pressed.
    const intent = this.intents.unanswered();
    if (intent) this.send(intent);
    this.mine.ask();
  }

  /** Somebody looks at the page again. */
  look() {
    if (document.visibilityState === "hidden") return;
    this.draw();
    if (this.mine.fresh) this.follower.soon();
    else this.mine.ask();
  }

  /** What an attempt failed with: whether that is known, and dealt with. */
  failed(error) {
    if (error instanceof LoginNeeded) this.model.out = true;
    else if (!(error instanceof ApiError)) throw error;
    this.draw();
  }

  // --- the sale ---

  onframe({ data, by, sentAt, receivedAt }) {
    if (by === "poll") this.clock.sample(data.server_time, sentAt, receivedAt);
    else this.clock.atLeast(data.server_time, receivedAt);
    this.shopper.line(true);
    const { model } = this;
    if (model.sale && Date.parse(data.server_time) < Date.parse(model.sale.server_time)) return;
    const moved = model.sale?.opens_at !== data.opens_at;
    model.sale = data;
    model.trouble = null;
    if (model.refusal && model.refusal.code !== "limit_reached" && Date.parse(data.server_time) > model.refusal.at) {
      model.refusal = null;
    }
    for (const { sku, held } of data.items) {
      const next = model.next.get(sku);
      if (next && next.held !== held && Date.parse(data.server_time) > next.asOf) model.next.delete(sku);
    }
    if (moved) this.expectOpening();
    this.choose();
    this.draw();
  }

  onerror(error) {
    this.shopper.line(error.status !== 0);
    if (!this.model.sale) {
      if (error.code === "unknown_sale" || error.status === 404) this.model.trouble = "unknown";
      else if (error.status !== 503 || this.feed.tries > 2) this.model.trouble = "error";
    }
    this.draw();
  }

  /** Draws at T0; and asks a little later, at no particular moment, if the opening is not in the news by then. */
  expectOpening() {
    clearTimeout(this.openingTimer);
    const opensAt = Date.parse(this.model.sale.opens_at);
    const left = opensAt - this.clock.now();
    if (left < 0) return;
    this.openingTimer = setTimeout(() => {
      if (left > LONGEST_MS) return this.expectOpening();
      this.draw();
      setTimeout(() => this.model.sale.state === "scheduled" && this.feed.refresh(), 700 + Math.random() * 1800);
    }, Math.min(left + 1, LONGEST_MS));
    if (left > WARM_MS && left <= LONGEST_MS) {
      clearTimeout(this.warmTimer);
      const warm = () => this.shopper.warm(`${this.base}/reservations`, opensAt).catch((error) => this.failed(error));
      this.warmTimer = setTimeout(warm, left - WARM_MS * (0.2 + Math.random() * 0.8));
    }
  }

  /** Keeps what is chosen possible; an item that nobody has chosen gives way to one that is left. */
  choose(sku, quantity) {
    const { model } = this;
    const { want } = model;
    if (sku !== undefined) {
      Object.assign(want, { sku, chosen: true });
      if (model.refusal?.code !== "closed") model.refusal = null;
      this.notice = null;
    }
    if (quantity !== undefined) want.quantity = quantity;
    if (model.sale && !want.chosen) {
      const { items } = model.sale;
      const now = wanted(model);
      if (!now.available || want.sku === null) want.sku = (items.find((item) => item.available > 0) || now).sku;
    }
    if (model.sale) want.quantity = Math.min(Math.max(1, want.quantity || 1), mostOf(model));
    if (sku !== undefined || quantity !== undefined) this.draw();
  }

  // --- buying ---

  /** The press. Further ones do nothing. */
  async buy() {
    const { model } = this;
    if (model.buying || !["open", "opening"].includes(this.state)) return;
    model.buying = "reserving";
    this.draw();
    const known = new Set(model.mine.keys());
    await this.send(await this.intents.claim([{ sku: wanted(model).sku, quantity: model.want.quantity }]), known);
  }

  /**
   * @param {import("./purchase.js").Intent} intent
   * @param {Set<string>} [known]  the shopper's reservations at the press
   */
  async send(intent, known) {
    const { model } = this;
    const stop = new AbortController();
    this.stop = stop;
    Object.assign(model, { buying: "reserving", refusal: null });
    this.notice = null;
    this.tries = 0;
    this.draw();
    try {
      const reservation = await purchase(intent, {
        send: (options) => this.shopper.call(`${this.base}/reservations`, options),
        now: () => this.clock.now(),
        signal: stop.signal,
        ontrouble: (tries) => {
          this.tries = tries;
          model.buying = "reserving";
          this.draw();
        },
        onearly: (opensAt, sentAt) => {
          this.clock.before(opensAt, sentAt);
          model.buying = "opening";
          this.draw();
        },
      });
      this.intents.done(intent);
      // What had been given up was known by then, or is over: this press is for another one.
      if (intent.again && (known.has(reservation.id) || reservation.status !== "held")) {
        return await this.send(this.intents.begin(intent.items));
      }
      model.buying = null;
      this.adopt(reservation);
    } catch (error) {
      model.buying = null;
      if (error.name === "AbortError") {
        this.intents.giveUp(intent);
        await this.afterGivingUp();
      } else {
        this.intents.done(intent);
        await this.refused(error);
      }
    }
  }

  /** What was sent may have been carried out all the same: the truth is asked for. */
  async afterGivingUp() {
    this.draw();
    await this.mine.ask();
    setTimeout(() => this.mine.ask(), 3000);
  }

  async refused(error) {
    if (!(error instanceof ApiError)) return this.failed(error);
    const { model } = this;
    const { problem, code } = error;
    if (code === "limit_reached") {
      await this.mine.ask();
      if (this.current?.status === "held" && !model.browsing) return this.draw();
    }
    if (["limit_reached", "sold_out", "paused", "closed"].includes(code)) {
      model.refusal = { code, sku: problem.sku, held: problem.held_by_others, at: this.clock.now() };
      if (code === "sold_out" && problem.next_release_at) {
        const held = problem.held_by_others + heldOf(model, problem.sku);
        model.next.set(problem.sku, { at: problem.next_release_at, held, asOf: this.clock.now() });
      }
      setTimeout(() => this.doubt(), 500 + Math.random() * 2000);
    } else if (code === "not_open") await this.feed.refresh();
    else {
      this.notice = code;
      this.feed.refresh();
    }
    this.draw();
  }

  /**
   * Some time after a refusal: what the page knows may be older, or newer. Only where the two disagree is the view asked for,
   * by each page at another moment: at the end of a sale nearly everybody has just been refused.
   */
  doubt() {
    const { model } = this;
    const { refusal, sale } = model;
    if (!refusal || refusal.code === "limit_reached") return;
    const item = sale.items.find(({ sku }) => sku === refusal.sku);
    const agreed = refusal.code === "sold_out" ? !item?.available : sale.state === refusal.code;
    if (agreed) model.refusal = null;
    else this.feed.refresh();
  }

  /** Gives up what is still being tried. */
  giveUp() {
    this.stop?.abort();
  }

  // --- the shopper's reservations ---

  /** All of them, as the server has them. */
  setMine(list) {
    const { model } = this;
    const fresh = list.find(({ id, status }) => status === "held" && !model.mine.has(id));
    model.mine = new Map(list.map((each) => [each.id, each]));
    const { current } = this;
    if (fresh && (model.browsing || !current || ENDED.has(current.status))) this.show(fresh.id);
    else if (!current && !model.browsing) {
      model.currentId = mostRelevant(list, this.marks.all(), this.clock.now())?.id ?? null;
    }
    this.choose();
    this.follower.soon();
    this.draw();
  }

  /** A reservation as it is now, from an answer or from another tab. */
  adopt(reservation, { told = false } = {}) {
    if (!reservation?.id || reservation.sale !== this.saleId) return;
    const { model } = this;
    const before = model.mine.get(reservation.id);
    model.mine.set(reservation.id, reservation);
    if (gist(before) !== gist(reservation)) this.mine.news();
    if (!before && reservation.status === "held") model.browsing = false;
    const { current } = this;
    const better = !current || (ENDED.has(current.status) && reservation.status === "held");
    if (!told || better) {
      if (!model.browsing && (better || !before)) model.currentId = reservation.id;
    }
    if (!told) {
      model.out = false;
      this.tabs?.postMessage(reservation);
    }
    if (before && before.payment?.attempt !== reservation.payment?.attempt) model.choosing = false;
    this.choose();
    this.lead(reservation);
    this.follower.soon();
    this.draw();
  }

  /** Shows one of the shopper's reservations. */
  show(id) {
    Object.assign(this.model, { currentId: id, browsing: false, choosing: false, refusal: null });
    this.notice = null;
    this.follower.soon();
    this.draw();
  }

  /** Back to the sale. */
  again() {
    const { model } = this;
    this.marks.add([...model.mine.values()].filter(({ status }) => ENDED.has(status)).map(({ id }) => id));
    Object.assign(model, { browsing: live(model).length > 0, currentId: null, refusal: null, choosing: false });
    model.want = { sku: null, chosen: false, quantity: 1 };
    this.notice = null;
    this.choose();
    this.feed.refresh();
    this.draw();
  }

  /** Gives the hold up. */
  async cancel(id) {
    try {
      const { data } = await this.shopper.insist(`/v1/reservations/${id}`, { method: "DELETE" });
      if (data.status === "cancelled") {
        this.given.add(id);
        this.marks.add([id]);
      }
      this.adopt(data);
    } catch (error) {
      this.notice = error instanceof ApiError ? error.code : null;
      if (error instanceof LoginNeeded) this.failed(error);
      await this.mine.ask();
    }
  }

  // --- paying ---

  /** Starts a payment; the page goes on to the provider by itself. */
  async pay(method) {
    const { model, current } = this;
    if (!current || model.starting) return;
    model.starting = true;
    this.notice = null;
    this.draw();
    try {
      const { data } = await this.shopper.insist(`/v1/reservations/${current.id}/payment`, { method: "POST", body: { method } });
      Object.assign(model, { starting: false, choosing: false });
      startedHere(data);
      this.adopt(data);
    } catch (error) {
      model.starting = false;
      if (error instanceof ApiError) this.notice = error.code;
      else this.failed(error);
      await this.follower.now();
    }
    this.draw();
  }

  /** Goes to the provider once its page is there, if the payment was asked for here and now. */
  lead(reservation) {
    const action = reservation.payment?.action;
    if (!action || reservation.id !== this.model.currentId || reservation.status !== "held") return;
    if (action.type === "redirect" && wasStartedHere(reservation)) leadToProvider(reservation);
  }

  /** Another method while one is under way. */
  other(choosing) {
    this.model.choosing = choosing;
    this.draw();
  }
}

/** What makes a reservation another one to the shopper. */
function gist(reservation) {
  return `${reservation?.status} ${reservation?.payment?.attempt} ${reservation?.payment?.status}`;
}
