/** One sale, live. */

import { ApiError } from "../common/api.js";
import { focusOn, h, replace, setAttribute, setText } from "../common/dom.js";
import { LiveSale } from "../common/events.js";
import { answersPanel } from "./answers-panel.js";
import { auditPanel } from "./audit-panel.js";
import { curvePanel } from "./curve-panel.js";
import { healthPanel } from "./health-panel.js";
import { badge, errorNote, icon, stockBar, unitsOf, unitsOfAll } from "./parts.js";
import { Poll } from "./poll.js";
import { steering } from "./steer.js";

const ACTIVITY_MS = 1500;
const CURVE_MS = 3000;
const STALE_MS = 10_000;
const TICK_MS = 500;

/**
 * @param {any} context
 * @returns {import("./main.js").View}
 */
export function saleView(context) {
  const { t, sale: id } = context;
  const view = new Sale(context, id);
  return { node: view.node, title: t("sale.title", { sale: id }), start: () => view.start(), stop: () => view.stop() };
}

class Sale {
  constructor(context, id) {
    const { app, t } = context;
    this.context = context;
    this.id = id;
    this.sale = null;
    this.heard = performance.now();
    this.items = new Map();
    this.curve = curvePanel(context);
    this.answers = answersPanel(context);
    this.health = healthPanel(context);
    this.audit = auditPanel(context, id);
    this.live = new LiveSale({ api: app.config.api, sale: id, pollSeconds: app.config.poll_seconds,
      onframe: (frame) => this.frame(frame), onerror: (error) => this.failed(error) });
    this.activity = new Poll(async () => {
      const activity = await app.ask(app.sale(id, "/activity"));
      this.hear();
      replace(this.trouble);
      this.answers.update(activity);
      this.health.update(activity, this.sale?.state || "open");
    }, { every: ACTIVITY_MS, onerror: (error) => this.refused(error) });
    this.curvePoll = new Poll(async () => {
      if (!this.sale) return;
      const curve = await app.ask(app.sale(id, "/curve?points=200"));
      if (this.sale) this.curve.update(curve, this.sale);
    }, { every: CURVE_MS });
    this.steer = steering(context, () => this.sale, () => {
      this.live.refresh();
      this.activity.soon();
      this.curvePoll.soon();
    });
    this.build(t);
  }

  build(t) {
    const { id } = this;
    const at = `#/sales/${encodeURIComponent(id)}`;
    this.name = h("h1", null, id);
    this.state = h("span.state");
    this.stale = h("div.fs-note.warn.trouble", { role: "status", "data-stale": true, hidden: true });
    this.trouble = h("div");
    this.when = h("p.fs-soft");
    this.timer = h("p.timer.fs-numbers", { role: "timer", "data-countdown": true });
    const button = (name, text, act, more = "") => h(`button.fs-button${more}`, { type: "button", "data-action": name, onclick: act, hidden: true }, text);
    this.buttons = {
      pause: button("pause", t("pause"), () => this.steer.pause()),
      resume: button("resume", t("resume"), () => this.steer.resume(), ".primary"),
      restock: button("restock", t("restock"), () => this.steer.restock()),
      close: button("close", t("close"), () => this.steer.close(), ".danger"),
    };
    this.edit = h("a.fs-button", { href: `${at}/edit`, "data-action": "edit", hidden: true }, t("edit.link"));
    this.list = h("ul.items-live");
    this.stock = h("section.fs-card.panel.wide", { "aria-labelledby": "stock-title", "data-panel": "stock" },
      h("div.panel-head", null, h("h2", { id: "stock-title" }, t("stock.title"))), this.list);
    this.live_part = h("div.panels", { hidden: true }, this.stock, this.curve.node, this.answers.node, this.health.node, this.audit.node);
    this.head = h("div.fs-card.sale-top", { hidden: true }, h("div.sale-times", null, this.timer, this.when), h("div.actions", null, Object.values(this.buttons), this.edit,
      h("a.fs-button", { href: `${at}/story`, "data-action": "story" }, t("story.link")),
      h("a.fs-button.plain", { href: `/s/${encodeURIComponent(id)}`, target: "_blank", rel: "noopener" }, t("sale.shop"))));
    this.node = h("section.sale", null, h("p.crumbs", null, h("a", { href: "#/" }, t("back.sales"))),
      h("div.head", null, h("div", null, this.name, h("p.fs-soft.fs-small.id", null, id)), this.state),
      this.stale, this.trouble, this.head, this.live_part);
  }

  start() {
    this.live.start();
    this.activity.start();
    this.ticking = setInterval(() => this.tick(), TICK_MS);
  }

  stop() {
    this.live.close();
    this.activity.stop();
    this.curvePoll.stop();
    this.curve.stop();
    this.answers.stop();
    clearInterval(this.ticking);
  }

  hear() {
    this.heard = performance.now();
    this.heardAt = Date.now();
  }

  frame({ data, sentAt, receivedAt }) {
    const { clock } = this.context.app;
    if (sentAt === undefined) clock.atLeast(data.server_time, receivedAt);
    else clock.sample(data.server_time, sentAt, receivedAt);
    const first = !this.sale;
    this.sale = data;
    this.draw();
    if (!first) return;
    this.head.hidden = this.live_part.hidden = false;
    replace(this.trouble);
    this.curve.start();
    this.answers.start();
    this.curvePoll.start();
  }

  /** The public view did not come; what it was is still shown. */
  failed(error) {
    if (!this.sale) this.refused(error);
  }

  refused(error) {
    if (!(error instanceof ApiError) || error.status === 401) return;
    if (this.trouble.dataset.code === error.code && this.trouble.childElementCount) return;
    this.trouble.dataset.code = error.code;
    if (error.status === 0 && this.sale) return; // the line about stale data says so soon enough
    if (error.code === "unknown_sale") {
      this.stop();
      replace(this.trouble, errorNote(this.context, error));
      return;
    }
    replace(this.trouble, errorNote(this.context, error, () => {
      this.live.refresh();
      this.activity.soon();
    }));
  }

  tick() {
    const { t, format } = this.context;
    const age = performance.now() - this.heard;
    const stale = Boolean(this.sale) && age > STALE_MS && document.visibilityState !== "hidden";
    if (stale && this.stale.hidden) {
      replace(this.stale, icon("warn"), h("p", null, this.heardAt ? t("stale", { time: format.time(this.heardAt) }) : t("stale.never")));
    }
    this.stale.hidden = !stale;
    setAttribute(this.live_part, "data-stale", stale);
    if (this.sale) this.times();
  }

  times() {
    const { t, format, app } = this.context;
    const { opens_at: opens, closes_at: closes, state } = this.sale;
    const now = app.clock.now();
    const text = state === "scheduled" ? t("sale.opens_in", { time: format.duration(Date.parse(opens) - now, "short") })
      : state !== "closed" && closes ? t("sale.closes_in", { time: format.duration(Date.parse(closes) - now, "short") })
        : state === "closed" ? t("sale.over") : t("sale.no_end");
    setText(this.timer, text);
    const release = this.sale.next_release_at && Date.parse(this.sale.next_release_at) > now
      ? t("sale.next_release", { time: format.time(this.sale.next_release_at) }) : "";
    const from = closes ? t("sales.from_to", { from: format.dateTime(opens), to: format.dateTime(closes) }) : t("sales.from", { from: format.dateTime(opens) });
    setText(this.when, [from, release].filter(Boolean).join(" · "));
  }

  draw() {
    const { context, sale } = this;
    const { t } = context;
    setText(this.name, sale.title);
    if (this.state.dataset.shown !== sale.state) {
      this.state.dataset.shown = sale.state;
      replace(this.state, sale.rehearsal && h("span.fs-pill.warn", null, t("rehearsal")), badge(context, sale.state));
    }
    const { state } = sale;
    const on = { pause: state === "open" || state === "sold_out", resume: state === "paused", restock: state !== "closed", close: state !== "closed" };
    let next = null;
    for (const [name, button] of Object.entries(this.buttons)) {
      // The button that somebody is at goes away with what it was for: its successor takes the focus.
      const lost = !on[name] && document.activeElement === button;
      button.hidden = !on[name];
      if (lost) next = { pause: this.buttons.resume, resume: this.buttons.pause }[name] || this.name;
    }
    if (next?.hidden) next = this.name;
    if (next === this.name) focusOn(next);
    else next?.focus();
    this.edit.hidden = state !== "scheduled";
    this.stocks();
    this.times();
  }

  stocks() {
    const { context, sale } = this;
    const { format, t } = context;
    const many = sale.items.length > 1;
    const rows = many ? [{ sku: "", title: t("stock.all"), ...unitsOfAll(sale.items) }, ...sale.items.map((item) => ({ ...item, ...unitsOf(item) }))]
      : sale.items.map((item) => ({ ...item, ...unitsOf(item) }));
    for (const item of rows) {
      let row = this.items.get(item.sku);
      if (!row) {
        const bar = stockBar(context);
        row = { bar, title: h("h3"), about: h("p.fs-soft.fs-small") };
        row.node = h(`li${item.sku ? "" : ".all"}`, { "data-sku": item.sku || null }, h("div.item-head", null, row.title, row.about), bar.node);
        this.items.set(item.sku, row);
        this.list.append(row.node);
      }
      setText(row.title, item.title);
      const price = item.price === undefined ? "" : format.money(item.price, sale.currency);
      setText(row.about, [item.sku === item.title ? "" : item.sku, price, t("stock.of", { count: item.stock })].filter(Boolean).join(" · "));
      row.bar.update(item);
    }
    for (const [sku, row] of this.items) {
      if (rows.some((item) => item.sku === sku)) continue;
      row.node.remove();
      this.items.delete(sku);
    }
  }
}
