/** How it ended: an order with its code, or a hold that is over. */

import { h, replace } from "../common/dom.js";
import { button, icon, lineText, loginNote, row, summary } from "./parts.js";
import { LoginNeeded } from "./session.js";
import { roomOf } from "./state.js";

const SIGNS = { confirmed: ["check", "good"], expired: ["clock", "warn"], cancelled: ["back", ""], refunded: ["back", ""] };

/**
 * @param {import("./parts.js").Context} context
 * @param {"confirmed" | "expired" | "cancelled" | "refunded"} state
 * @returns {{node: Element, update: () => void}}
 */
export function resultView(context, state) {
  const { app, words } = context;
  const reservation = app.current;
  const [sign, kind] = SIGNS[state];
  const room = roomOf(app.model) > 0;
  const more = state === "confirmed" && room ? words.t("again.more") : words.t(state === "expired" ? "again.try" : "again.sale");
  const out = loginNote(context, words.t("login.ended"));
  const node = h("div.page.flow", null,
    h("div.main", null,
      h("section.fs-card.head.result", null,
        icon(sign, kind),
        h("p.kicker.fs-soft", null, app.model.sale.title),
        h("h1", null, state === "cancelled" && !app.given.has(reservation.id) ? words.t("ended.title") : words.t(`${state}.title`)),
        h("p", null, textOf(context, state, reservation)),
        fate(context, reservation),
        out.node,
        state === "confirmed" ? null : h("div.buttons", null, button("again", more, () => app.again(), "primary"))),
      state === "confirmed" ? handOver(context, reservation, more) : null),
    summary(context, reservation));
  return { node, update: () => out.show(app.model.out) };
}

function textOf({ app, words, format }, state, reservation) {
  if (state === "confirmed") return words.t(reservation.late ? "confirmed.late" : "confirmed.text");
  if (state === "expired") return words.t("expired.text", { time: format.dateTime(reservation.held_until) });
  if (state === "cancelled") return words.t(app.given.has(reservation.id) ? "cancelled.text" : "ended.text");
  return words.t("refunded.text", { amount: format.money(reservation.payment?.amount ?? reservation.amount_due, reservation.currency) });
}

/** What becomes of money when there is no order: the truth, whatever it is. */
function fate({ words, format }, { status, payment, currency }) {
  if (status === "confirmed") return null;
  const say = (key, kind = "") => h("p.fs-note", { class: kind }, words.t(key, { amount: format.money(payment?.amount ?? 0, currency) }));
  switch (payment?.status) {
    case "refunded": return say("fate.refunded", "good");
    case "refunding":
    case "paid": return say("fate.refunding");
    case "queued":
    case "requires_action":
    case "processing": return say(status === "expired" ? "fate.open" : "fate.back");
    default: return say("fate.none");
  }
}

/** The code that is scanned when the goods are handed over. */
function handOver(context, reservation, more) {
  const { app, words, format } = context;
  const place = h("div.code", { role: "group", "aria-label": words.t("code.title") }, h("span.fs-spinner", { "aria-hidden": "true" }));
  const draw = () => app.shopper.code(reservation.id).then(
    (url) => replace(place, h("img", { src: url, width: 296, height: 296, "data-code": true, alt: words.t("code.alt", { id: reservation.id }) })),
    (error) => {
      replace(place, h("p", null, words.t("code.failed")), button("retry", words.t("error.retry"), draw));
      if (error instanceof LoginNeeded) app.failed(error);
    });
  draw();
  return h("section.fs-card.ticket", { "aria-label": words.t("code.title") },
    h("h2", null, words.t("code.title")),
    place,
    h("p.id", null, h("code", null, reservation.id)),
    h("p.fs-soft", null, words.t("code.text")),
    h("dl.facts", null,
      row(words.t("summary.place"), h("strong", { "data-place": true }, format.number(reservation.place))),
      reservation.items.map((line) => row(words.t("summary.item"), lineText(context, app.model.sale, line)))),
    h("div.buttons.no-print", null,
      button("print", words.t("code.print"), () => window.print()),
      button("again", more, () => app.again(), "plain")));
}
