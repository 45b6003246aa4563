/** The sale itself: countdown, items, what it costs, and the button. */

import { h, setAttribute, setText } from "../common/dom.js";
import { button, countdown, everyRate, icon, keyed, lineText, loginNote, note, problemText, scheduleRows } from "./parts.js";
import { itemChoice, quantityField } from "./items.js";
import { live, scheduleOf, wanted } from "./state.js";

const PILLS = { open: "good", opening: "good", reserving: "good", sold_out: "bad", closed: "bad", paused: "warn", limit: "warn" };

/**
 * @param {import("./parts.js").Context} context
 * @returns {{node: Element, update: (state: string) => void}}
 */
export function saleView(context) {
  const { app, words, format } = context;
  const { sale } = app.model;
  const pill = h("span.fs-pill");
  const timer = countdown(context);
  const counting = h("div.counting", null, timer.node, h("p.fs-soft", null, words.t("opens.at", { time: format.dateTime(sale.opens_at, "long") })));
  const story = h("p.story");
  const details = h("p.fs-soft.details");
  const own = h("div.own");
  const items = itemChoice(context);
  const quantity = quantityField(context);
  const terms = h("div.terms");
  const rules = h("ul.rules.fs-small.fs-soft");
  const total = h("span.total.fs-numbers");
  const due = h("span.due.fs-soft");
  const label = h("span");
  const spinner = h("span.fs-spinner", { "aria-hidden": "true", hidden: true });
  const buy = h("button.fs-button.primary.buy", { type: "button", "data-action": "buy", onclick: () => app.buy() }, spinner, label);
  const login = h("a.fs-button.primary.buy", { "data-action": "login", hidden: true }, words.t("login.button"));
  const giveUp = button("cancel", words.t("reserving.stop"), () => app.giveUp(), "plain");
  const said = note("warn");
  const out = loginNote(context, words.t("login.see"));
  const [showOwn, showTerms, showRules] = [keyed(own), keyed(terms), keyed(rules)];

  const node = h("div.page.sale", null,
    h("section.intro", { "aria-labelledby": "title" },
      h("p.pills", null, pill, sale.rehearsal && h("span.fs-pill.warn", null, words.t("rehearsal"))),
      h("h1", { id: "title", class: sale.title.length > 60 ? "long" : null }, sale.title),
      counting, story, details, own, out.node),
    h("section.fs-card.offer", { "aria-label": words.t("items.title") }, items.node),
    h("section.fs-card.panel", { "aria-label": words.t("panel.title") },
      quantity.node,
      h("div.bar", null,
        said.node,
        h("div.press", null, h("p.price", null, total, due), buy, login),
        giveUp),
      terms, rules));

  const update = (state) => {
    const { model } = app;
    const item = wanted(model);
    const now = app.clock.now();
    setText(pill, words.t(`pill.${state}`));
    setAttribute(pill, "class", `fs-pill ${PILLS[state] || ""}`);
    counting.hidden = now >= Date.parse(model.sale.opens_at) || state === "closed" || state === "paused";
    timer.set(Date.parse(model.sale.opens_at) - now);
    const [line, more] = storyOf(context, state);
    setText(story, line);
    setText(details, more);
    details.hidden = !more;
    setAttribute(details, "class", state === "sold_out" ? "details fs-note warn" : "details fs-soft");
    showOwn(live(model).map(({ id, status }) => `${id} ${status}`).join(), () => ownReservations(context));
    out.show(model.out && state !== "login" && !model.buying);
    items.update(state);
    quantity.update(state);
    const amount = item.price * model.want.quantity;
    const schedule = scheduleOf(amount, model.sale.payment);
    const money = format.money(amount, model.sale.currency);
    setText(total, money);
    setText(due, schedule.deposit === amount ? "" : words.t("panel.due", { amount: format.money(schedule.deposit, model.sale.currency) }));
    showTerms(`${amount} ${JSON.stringify(model.sale.payment)}`, () => [
      h("dl", null, schedule.deposit === amount ? null : scheduleRows(context, schedule, model.sale.currency, model.sale.payment.deposit_percent)),
      everyRate(context, schedule, model.sale.currency),
    ]);
    showRules(`${model.sale.limit_per_customer} ${item.limit_per_customer} ${model.sale.hold_seconds}`, () => rulesOf(context));
    updateButton(state);
  };

  const updateButton = (state) => {
    const { model } = app;
    const busy = state === "reserving" || (state === "opening" && Boolean(model.buying));
    const can = state === "open" || (state === "opening" && !model.buying);
    buy.hidden = state === "login";
    login.hidden = state !== "login";
    setAttribute(login, "href", app.shopper.loginUrl);
    // It keeps the focus, and can be found by the keyboard before it can be pressed.
    setAttribute(buy, "aria-disabled", can ? null : "true");
    setAttribute(buy, "aria-busy", busy ? "true" : null);
    spinner.hidden = !busy;
    setText(label, words.t(`button.${busy ? state : can ? "open" : state}`));
    const trying = Boolean(model.buying) && app.tries > 0;
    giveUp.hidden = !trying;
    said.say(trying
      ? words.t(app.offline ? "reserving.offline" : "reserving.trying", { count: app.tries + 1 })
      : app.notice ? problemText(context, app.notice) : state === "login" && !app.shopper.loginUrl ? words.t("login.nowhere") : "");
  };
  return { node, update };
}

/** What the shopper is told about the state, in one line and a smaller second one. */
function storyOf(context, state) {
  const { app, words, format } = context;
  const { model } = app;
  const item = wanted(model);
  if (state === "sold_out") return soldOut(context, item);
  if (state === "limit") {
    const most = Math.min(model.sale.limit_per_customer ?? Infinity, item.limit_per_customer ?? Infinity);
    return [words.t("story.limit"), Number.isFinite(most) ? words.t("rules.limit", { count: most }) : ""];
  }
  const closes = model.sale.closes_at && state !== "closed" ? words.t("closes.at", { time: format.dateTime(model.sale.closes_at) }) : "";
  if (state === "closed") {
    return [words.t("story.closed"), model.sale.closes_at ? words.t("closed.at", { time: format.dateTime(model.sale.closes_at) }) : ""];
  }
  return [words.t(`story.${state}`), closes];
}

/** Honest: how many there were, how many may still come back, and when. */
function soldOut({ app, words, format }, item) {
  const { sale, refusal } = app.model;
  const held = item.held ?? refusal?.held ?? 0;
  const line = words.t("sold_out.all", { count: item.stock });
  if (!held) return [line, words.t("sold_out.gone")];
  // Of several items the sale says when the first hold of any of them ends.
  const next = (sale.items.length === 1 && sale.next_release_at) || app.model.next.get(item.sku)?.at;
  const others = words.t("sold_out.held", { count: held });
  const late = next && Date.parse(next) <= app.clock.now();
  const when = !next ? "" : late ? words.t("sold_out.any_moment") : words.t("sold_out.next", { time: format.time(next) });
  return [line, [others, when, words.t("sold_out.stay")].filter(Boolean).join(words.locale.startsWith("zh") ? "" : " ")];
}

function rulesOf({ app, words, format }) {
  const { sale } = app.model;
  const item = wanted(app.model);
  const most = Math.min(sale.limit_per_customer ?? Infinity, item.limit_per_customer ?? Infinity);
  return [
    Number.isFinite(most) && h("li", null, words.t("rules.limit", { count: most })),
    h("li", null, words.t("rules.hold", { time: format.duration(sale.hold_seconds * 1000) })),
    h("li", null, words.t("rules.fair")),
  ];
}

/** The way back to what the shopper has already. */
function ownReservations(context) {
  const { app, words } = context;
  const found = live(app.model);
  if (!found.length) return null;
  return found.map((each) => h("div.fs-note.good.mine", null,
    icon(each.status === "held" ? "clock" : "check", "good"),
    h("span", null, words.t(`own.${each.status}`, { items: each.items.map((line) => lineText(context, app.model.sale, line)).join(", ") })),
    button("show", words.t("own.show"), () => app.show(each.id))));
}

