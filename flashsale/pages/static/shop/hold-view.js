/** A hold: time left, how to pay, waiting for the provider, and a payment that was declined. */

import { focusOn, h, setAttribute, setText } from "../common/dom.js";
import { canPayHere, mount } from "./element.js";
import { framed, providerUrl } from "./leaving.js";
import { button, chosenMethod, confirmed, holdTimer, icon, loginNote, methods, note, problemText, summary } from "./parts.js";

/**
 * @param {import("./parts.js").Context} context
 * @param {"held" | "paying" | "declined"} state
 * @returns {{node: Element, update: () => void}}
 */
export function holdView(context, state) {
  const { app, words } = context;
  const reservation = app.current;
  const timer = holdTimer(context, reservation);
  const said = note("bad");
  const out = loginNote(context, words.t("login.ended"));
  const parts = { held: choosing, declined: choosing, paying: waiting }[state](context, state, reservation);
  const node = h("div.page.flow", null,
    h("div.main", null,
      h("section.fs-card.head", null,
        h("p.kicker.fs-soft", null, app.model.sale.title),
        h("h1", null, parts.title),
        timer.node),
      h("section.fs-card.pay", { "aria-label": words.t("pay.title") },
        out.node, said.node, parts.nodes,
        h("div.leave", null, button("cancel", words.t("hold.cancel"), () => cancel(context, reservation), "plain")))),
    summary(context, reservation));
  const update = () => {
    timer.update();
    out.show(app.model.out);
    said.say(problemText(context, app.notice));
    parts.update?.();
  };
  return { node, update };
}

async function cancel(context, { id }) {
  const { app, words } = context;
  const question = { title: words.t("cancel.title"), text: words.t("cancel.text"), yes: words.t("cancel.yes"), no: words.t("cancel.no") };
  if (await confirmed(context, question)) await app.cancel(id);
}

/** Held, or declined: the shopper chooses how to pay. */
function choosing(context, state, { payment, amount_due: due, currency }) {
  const { app, words, format } = context;
  const declined = state === "declined";
  const choice = methods(context, payment?.method);
  const label = words.t(declined ? "pay.retry" : "pay.button", { amount: format.money(due, currency) });
  const pay = button(declined ? "retry" : "pay", label, () => {
    const method = chosenMethod(choice);
    if (method && pay.getAttribute("aria-disabled") !== "true") app.pay(method);
  }, "primary");
  const back = app.model.choosing ? button("back", words.t("pay.back"), () => app.other(false), "plain") : null;
  const reason = declined && h("div.fs-note.bad.reason", null, icon("cross", "bad"), h("div", null,
    h("p", null, words.t("declined.text")), payment.error && h("p.fs-small", null, words.t("declined.reason", { reason: payment.error }))));
  const nothing = !app.model.sale.payment.methods.length;
  const over = Date.parse(app.current.held_until);
  return {
    title: words.t(declined ? "declined.title" : "held.title"),
    nodes: [reason, choice, nothing ? null : pay, back],
    update: () => setAttribute(pay, "aria-disabled", app.clock.now() >= over ? "true" : null),
  };
}

/** The provider has the payment, or will have it soon. */
function waiting(context, _state, reservation) {
  const { app, words, format } = context;
  const { payment } = reservation;
  const status = app.model.starting ? "queued" : payment?.status;
  const other = () => button("other", words.t("paying.other"), () => app.other(true), "plain");
  if (status !== "requires_action") {
    const text = h("p.wait", { "data-wait": true });
    const spinner = h("div.busy", null, h("span.fs-spinner", { "aria-hidden": "true" }), text);
    const title = words.t(status === "queued" ? "queued.title" : "processing.title");
    const update = () => {
      const seconds = app.current?.payment?.wait_seconds;
      setText(text, status !== "queued" ? words.t("processing.text")
        : seconds > 1 ? words.t("queued.wait", { time: format.duration(seconds * 1000) }) : words.t("queued.text"));
    };
    return { title, nodes: [spinner], update };
  }
  const title = words.t("paying.title");
  const url = providerUrl(reservation);
  if (url) {
    const link = h("a.fs-button.primary", { href: url, "data-action": "continue", rel: "noreferrer", target: framed ? "_top" : null }, words.t("paying.continue"));
    return { title, nodes: [h("p", null, words.t("paying.text")), link, other()] };
  }
  if (canPayHere(app.config, payment.action)) return { title, ...element(context, reservation, other()) };
  return { title, nodes: [h("p.fs-note.warn", null, words.t("pay.not_here")), other()] };
}

/** The provider's own form on this page, and the way to `other` methods; neither once it has taken the payment. */
function element(context, { id, payment: { attempt, action } }, other) {
  const { app, words } = context;
  const place = h("div.element");
  const said = note("bad");
  const pay = button("continue", words.t("element.pay"), () => {}, "primary");
  const form = h("div", null, place, said.node, pay, other);
  const taken = h("div.busy", { hidden: true }, h("span.fs-spinner", { "aria-hidden": "true" }), h("p.wait", { role: "status" }));
  const over = () => app.paidHere === `${id} ${attempt}`;
  const update = () => {
    if (!over()) return;
    // That it was paid only the server says.
    setText(taken.lastChild, words.t("processing.text"));
    taken.hidden = false;
    const inside = form.contains(document.activeElement);
    form.remove();
    if (inside) focusOn(document.querySelector("h1"));
  };
  const busy = (yes) => {
    setAttribute(pay, "aria-disabled", yes ? "true" : null);
    other.hidden = yes;
  };
  setAttribute(pay, "aria-disabled", "true"); // until there is a form
  if (!over()) mount(place, action, words.code).then((confirm) => {
    busy(false);
    pay.addEventListener("click", async () => {
      if (pay.getAttribute("aria-disabled") === "true") return;
      busy(true);
      const trouble = await confirm().catch((error) => words.t("problem.other", { code: error.name }));
      if (trouble) {
        busy(false);
        said.say(trouble);
      } else {
        app.paidHere = `${id} ${attempt}`;
        app.draw();
      }
    });
  }, () => said.say(words.t("element.failed")));
  return { nodes: [form, taken], update };
}
