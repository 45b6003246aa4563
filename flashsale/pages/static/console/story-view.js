/** What happened to a customer or a reservation: all that support needs when somebody complains. */

import { ApiError } from "../common/api.js";
import { focusOn, h, replace, setAttribute } from "../common/dom.js";
import { copy, errorNote, field, icon, showFault, table } from "./parts.js";
import { exactTime, lead, storyText, timeline } from "./story.js";

const STATUS_LEVEL = { confirmed: "good", held: "info", expired: "none", cancelled: "none", refunded: "warn" };
const RESERVATION = /^[a-z0-9][a-z0-9-]{0,62}\.(0|[1-9]\d{0,3})\.[\w-]{16}$/;
const NONE = new Set(["invalid", "unknown_reservation"]); // there is no such reservation in this sale

/**
 * @param {any} context
 * @returns {import("./main.js").View}
 */
export function storyView(context) {
  const { app, t, sale, kept } = context;
  const input = h("input.fs-input", { type: "search", autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  input.value = kept?.text || "";
  const out = h("div", { "data-story": true });
  const button = h("button.fs-button.primary", { type: "submit", "data-action": "lookup" }, t("story.lookup"));
  let last = kept?.story || null;
  let asked = 0;
  const show = (story) => {
    last = story;
    replace(out, told(context, story));
  };
  const submit = async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    showFault(input, text ? null : t("story.empty"));
    if (!text) {
      input.focus();
      return;
    }
    const mine = (asked += 1);
    setAttribute(button, "aria-disabled", "true");
    replace(out, h("p.fs-soft.waiting", { role: "status" }, h("span.fs-spinner", { "aria-hidden": "true" }), t("story.reading")));
    try {
      const story = await find(app, sale, text);
      if (mine !== asked) return;
      show(story);
      focusOn(out.querySelector("h2"));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (mine === asked) {
        replace(out, NONE.has(error.code)
          ? h("div.fs-note.warn.trouble", { role: "alert" }, icon("warn"), h("p", null, t("story.no_such", { text })))
          : errorNote(context, error));
      }
    } finally {
      if (mine === asked) setAttribute(button, "aria-disabled", null);
    }
  };
  const node = h("section.story", null,
    h("p.crumbs", null, h("a", { href: `#/sales/${encodeURIComponent(sale)}` }, t("back.sale"))),
    h("h1", null, t("story.title")), h("p.fs-soft.fs-small.id", null, sale),
    h("form.fs-card.lookup", { role: "search", novalidate: true, onsubmit: submit },
      field("who", t("story.who"), input, { hint: t("story.who_hint", { example: `${sale}.0.…` }) }).node, button),
    out);
  if (last) show(last);
  return { node, title: t("story.title"), focus: kept ? undefined : input, keep: () => ({ text: input.value, story: last }) };
}

/** The story of a reservation or a customer. A customer may have an id that reads like that of a reservation. */
async function find(app, sale, text) {
  const read = (what) => app.ask(app.sale(sale, `/story?${what}=${encodeURIComponent(text)}`), { timeoutMs: 60_000 });
  if (!RESERVATION.test(text)) return read("customer");
  let story = null;
  let refusal = null;
  try {
    story = await read("reservation");
    if (isKnown(story)) return story;
  } catch (error) {
    if (!NONE.has(error.code)) throw error;
    refusal = error;
  }
  const other = await read("customer");
  if (isKnown(other)) return other;
  if (refusal) throw refusal;
  return story;
}

function isKnown(story) {
  return !story.summary.some(({ code }) => code === "never_seen");
}

function told(context, story) {
  const { t } = context;
  const lines = timeline(context, story);
  const undated = lines.filter((line) => !line.at);
  const { level, text } = lead(context, story);
  const button = h("button.fs-button", { type: "button", "data-action": "copy", onclick: () => copy(context, storyText(context, story)) }, t("copy"));
  return h("div.told", null,
    h("section.fs-card", { "aria-labelledby": "told-title" },
      h("div.panel-head", null, h("h2", { id: "told-title" }, story.customer ? t("story.of_customer", { customer: story.customer }) : t("story.of_reservation", { reservation: story.reservation })), button),
      h(`div.fs-note.trouble.${level}`, { "data-lead": true }, icon(level === "none" ? "none" : level), h("p", null, text)),
      story.complete === false && h("div.fs-note.warn.trouble", null, icon("warn"), h("p", null, t("story.incomplete"))),
      h("h3", null, t("story.timeline")),
      h("ol.timeline", null, lines.filter((line) => line.at).map((line) => h("li", { "data-code": line.code, class: line.level },
        h("span.dot", { "aria-hidden": "true" }), h("time.fs-numbers", { datetime: line.at }, exactTime(context, line.at)),
        h("p", null, h(line.own ? "b" : "span", null, line.text), line.more && h("span.fs-soft.fs-small", null, ` ${line.more}`))))),
      undated.length > 0 && h("ul.undated", null, undated.map((line) => h("li", { "data-code": line.code }, [line.text, line.more].filter(Boolean).join(": "))))),
    story.reservations.map((one) => reservation(context, one)), facts(context, story));
}

function reservation(context, { held_at: heldAt, reservation: found, charges }) {
  const { t, format } = context;
  const money = (amount) => format.money(amount, found.currency);
  const { payment } = found;
  const rows = [
    [t("story.place"), format.number(found.place)],
    [t("story.held_at"), exactTime(context, heldAt)],
    [t("story.held_until"), exactTime(context, found.held_until)],
    [t("story.items"), found.items.map(({ sku, quantity }) => `${format.number(quantity)} × ${sku}`).join(", ")],
    [t("story.amount"), money(found.amount)],
    [t("story.amount_due"), money(found.amount_due)],
    payment && [t("story.payment"), [context.words.has(`method.${payment.method}`) ? t(`method.${payment.method}`) : payment.method,
      t(`pay.${payment.status}`), payment.provider, payment.reference].filter(Boolean).join(" · ")],
    payment?.error && [t("story.error"), payment.error],
    ...charges.map((charge) => [t("story.charge"), [format.money(charge.amount, charge.currency), t(`fate.${charge.fate}`), charge.reference].join(" · ")]),
  ].filter(Boolean);
  return h("section.fs-card", { "data-reservation": found.id },
    h("div.panel-head", null, h("h2.mono", null, found.id),
      h(`span.fs-pill.${STATUS_LEVEL[found.status] || "none"}`, null, t(`status.${found.status}`))),
    h("dl.facts", null, rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd.fs-numbers", null, value)))));
}

function facts(context, story) {
  const { t } = context;
  if (!story.facts.length) return null;
  const rows = story.facts.map((fact) => [String(fact.seq), exactTime(context, fact.at), fact.type,
    Object.entries(fact.detail || {}).filter(([, value]) => value !== null && value !== "").map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join("; ")]);
  return h("details.fs-card", null, h("summary", null, t("story.facts", { count: rows.length })),
    h("p.fs-soft.fs-small", null, t("story.facts_hint")),
    table(t("story.facts", { count: rows.length }), [t("story.seq"), t("time"), t("story.type"), t("story.detail")], rows, { hidden: true }));
}

