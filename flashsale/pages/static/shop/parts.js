/** Pieces that several screens are made of. */

import { partsOf } from "../common/format.js";
import { h, replace, setAttribute, setText } from "../common/dom.js";
import { groupsOf } from "./state.js";

/**
 * @typedef {object} Context
 * @property {import("./app.js").App} app
 * @property {import("../common/i18n.js").Words} words
 * @property {import("../common/format.js").Format} format
 */

const ICONS = {
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M7 7l10 10M17 7L7 17",
  clock: "M12 6.5V12l3.5 2.5",
  bang: "M12 6v7.5M12 17.2v.3",
  back: "M9 7l-4 4 4 4M5.5 11H14a4.5 4.5 0 010 9h-2",
  pause: "M9 7v10M15 7v10",
};

/** A round sign; it says nothing that words do not say too. */
export function icon(name, kind = "") {
  const path = h("path", { d: ICONS[name], fill: "none", stroke: "currentColor", "stroke-width": "2.2",
    "stroke-linecap": "round", "stroke-linejoin": "round" });
  return h("span.sign", { class: kind, "aria-hidden": "true" }, h("svg", { viewBox: "0 0 24 24", focusable: "false" }, path));
}

/** A button; `kind` is primary, plain or danger. */
export function button(action, text, onclick, kind = "") {
  return h("button.fs-button", { type: "button", class: kind, "data-action": action, onclick }, text);
}

/** A name and its value in a list of them. */
export function row(name, value, kind = "") {
  return h("div.row", { class: kind }, h("dt", null, name), h("dd.fs-numbers", null, value));
}

/** The name of an item. */
export function titleOf(sale, sku) {
  return sale.items.find((item) => item.sku === sku)?.title || sku;
}

/** `2 × Giulia Milano`, or the title alone. */
export function lineText({ words }, sale, { sku, quantity }) {
  const item = titleOf(sale, sku);
  return quantity === 1 ? item : words.t("items.line", { count: quantity, item });
}

/** What is paid when, as rows of a list. */
export function scheduleRows({ words, format }, schedule, currency, percent) {
  const money = (amount) => format.money(amount, currency);
  if (!schedule.balance && !schedule.instalments.length) return [row(words.t("money.due_now"), money(schedule.deposit), "strong")];
  const rows = [row(words.t("money.deposit", { percent: format.percent(percent / 100) }), money(schedule.deposit), "strong")];
  if (schedule.balance) rows.push(row(words.t("money.balance"), money(schedule.balance)));
  if (schedule.instalments.length) {
    const texts = groupsOf(schedule.instalments).map(([count, rate]) => words.t("money.rates", { count, amount: money(rate) }));
    rows.push(row(words.t("money.instalments"), texts.map((text) => h("span.part", null, text))));
  }
  return rows;
}

/** Every single rate, to be opened. */
export function everyRate({ words, format }, schedule, currency) {
  if (!schedule.instalments.length) return null;
  return h("details.rates", null,
    h("summary", null, words.t("money.every_rate")),
    h("ol", null, schedule.instalments.map((rate, index) =>
      h("li", null, h("span", null, words.t("money.month", { count: index + 1 })),
        h("span.fs-numbers", null, format.money(rate, currency))))));
}

/** What somebody has: items, amounts, place and id. */
export function summary(context, reservation) {
  const { app: { model: { sale } }, words, format } = context;
  const { currency } = reservation;
  return h("section.fs-card.summary", { "aria-label": words.t("summary.title") },
    h("h2", null, words.t("summary.title")),
    h("ul.lines", null, reservation.items.map((line) => h("li", null, lineText(context, sale, line)))),
    h("dl", null,
      row(words.t("money.total"), format.money(reservation.amount, currency)),
      scheduleRows(context, reservation.payment_schedule, currency, sale.payment.deposit_percent)),
    everyRate(context, reservation.payment_schedule, currency),
    // On an order both are beside its code.
    reservation.status === "confirmed" ? null : h("dl.small", null,
      row(words.t("summary.place"), h("span", { "data-place": true }, format.number(reservation.place))),
      row(words.t("summary.id"), h("code", null, reservation.id))));
}

/** The choice of how to pay. */
export function methods({ app, words }, chosen) {
  const offered = app.model.sale.payment.methods;
  if (!offered.length) return h("p.fs-note.warn", null, words.t("pay.none"));
  return h("fieldset.methods", null,
    h("legend", null, words.t("pay.choose")),
    offered.map((method, index) => h("label.choice", null,
      h("input", { type: "radio", name: "method", value: method, checked: chosen ? method === chosen : index === 0 }),
      h("span", null, words.t(`method.${method}`)))));
}

/** The method that is chosen within an element. */
export function chosenMethod(element) {
  return element.querySelector('input[name="method"]:checked')?.value || null;
}

/** A timer with large figures: `node`, and `set(ms)` to keep it right. */
export function countdown({ format, words }) {
  const names = ["days", "hours", "minutes", "seconds"];
  const boxes = names.map((name) => {
    const figure = h("span.figure.fs-numbers");
    const label = h("span.unit");
    return { name, figure, label, box: h("span.box", null, figure, label) };
  });
  // A timer is read when somebody comes to it, and never by itself: the marks of the countdown are announced elsewhere.
  const node = h("p.countdown", { role: "timer", "data-countdown": true, "aria-label": words.t("countdown.label") },
    boxes.map(({ box }) => box));
  const set = (ms) => {
    const parts = partsOf(ms);
    for (const { name, figure, label, box } of boxes) {
      box.hidden = name === "days" && !parts.days;
      setText(figure, format.number(parts[name]).padStart(name === "days" ? 1 : 2, format.number(0)));
      setText(label, format.unit(parts[name], name).label);
    }
  };
  return { node, set };
}

/** Time left to pay: the figure, and a bar that empties. */
export function holdTimer({ app, format, words }, reservation) {
  const figure = h("span.time.fs-numbers", { role: "timer", "data-hold-timer": true, "aria-label": words.t("hold.timer") });
  const bar = h("span.fill");
  const until = Date.parse(reservation.held_until);
  const whole = Math.max(1000, app.model.sale.hold_seconds * 1000);
  const ends = h("p.fs-soft", null, words.t("hold.until", { time: format.time(until) }));
  const node = h("div.hold", null, figure, h("span.track", { "aria-hidden": "true" }, bar), ends);
  const update = () => {
    const left = until - app.clock.now();
    setText(figure, left > 0 ? format.clock(left) : words.t("hold.checking"));
    node.classList.toggle("short", left < 60_000);
    bar.style.setProperty("--part", String(Math.max(0, Math.min(1, left / whole))));
  };
  return { node, update };
}

/** A note that is there only while there is something to say. */
export function note(kind = "") {
  const node = h("p.fs-note", { class: kind, hidden: true });
  return {
    node,
    say(text) {
      setAttribute(node, "hidden", !text);
      if (text) setText(node, text);
    },
  };
}

/** A note with the way to log in; `show(yes)` while that is what keeps the page from going on. */
export function loginNote({ app, words }, text) {
  const link = h("a.fs-button", { "data-action": "login" }, words.t("login.link"));
  const said = h("span");
  const node = h("div.fs-note.warn.mine", { role: "status", hidden: true }, icon("bang", "warn"), said, link);
  return {
    node,
    show(yes) {
      const url = yes ? app.shopper.loginUrl : null;
      setText(said, !yes ? "" : url ? text : words.t("login.nowhere"));
      setAttribute(link, "href", url);
      link.hidden = !url;
      node.hidden = !yes;
    },
  };
}

/** What a problem of the API means to a shopper. */
export function problemText({ words }, code) {
  if (!code) return "";
  return words.problem(code) || words.t("problem.other", { code });
}

/** Asks whether something is really meant. Resolves with true or false. */
export function confirmed({ words }, { title, text, yes, no }) {
  return new Promise((resolve) => {
    const answer = (value) => {
      if (dialog.open) dialog.close();
      dialog.remove();
      resolve(value);
    };
    const dialog = h("dialog.fs-card", { "aria-labelledby": "question", lang: words.code, oncancel: () => answer(false) },
      h("h2", { id: "question" }, title),
      h("p", null, text),
      h("div.buttons", null,
        button("confirm", yes, () => answer(true), "danger"),
        button("dismiss", no, () => answer(false))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Puts `children` in a place only when they are other ones; `key` says which they are. */
export function keyed(element) {
  let last;
  return (key, make) => {
    if (key === last) return;
    last = key;
    replace(element, make());
  };
}
