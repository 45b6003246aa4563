/** The list of sales: what there is, and how each stands. */

import { h, replace, setAttribute, setText } from "../common/dom.js";
import { badge, errorNote, stockBar, unitsOfAll } from "./parts.js";
import { Poll } from "./poll.js";

const EVERY_MS = 3000;
const MANY = 5;
const ORDER = { open: 0, sold_out: 0, paused: 0, scheduled: 1, closed: 2 };

/**
 * @param {any} context
 * @returns {import("./main.js").View}
 */
export function salesView(context) {
  const { app, t, format, kept } = context;
  const cards = new Map();
  let sales = null;
  const trouble = h("div");
  const list = h("ul.sales", { "data-sales": true });
  const none = h("p.fs-card.fs-soft.empty", { hidden: true });
  const search = h("input.fs-input", { type: "search", id: "search", autocomplete: "off", oninput: () => draw() });
  const states = ["scheduled", "open", "paused", "sold_out", "closed"];
  const state = h("select.fs-input", { id: "state", onchange: () => draw() },
    h("option", { value: "" }, t("sales.any_state")), states.map((name) => h("option", { value: name }, t(`state.${name}`))));
  if (kept) [search.value, state.value] = kept;
  const filters = h("div.filters", { hidden: true },
    h("div.fs-field", null, h("label", { for: "search" }, t("sales.search")), search),
    h("div.fs-field", null, h("label", { for: "state" }, t("sales.state")), state));
  const found = h("p.fs-soft.fs-small", { role: "status", hidden: true });

  const draw = () => {
    if (!sales) return;
    filters.hidden = sales.length < MANY && !search.value && !state.value;
    const text = search.value.trim().toLowerCase();
    const shown = sales.filter((sale) => (!state.value || sale.state === state.value)
      && (!text || sale.id.includes(text) || sale.title.toLowerCase().includes(text)));
    shown.sort((a, b) => (ORDER[a.state] - ORDER[b.state])
      || (a.state === "closed" ? b.opens_at.localeCompare(a.opens_at) : a.opens_at.localeCompare(b.opens_at)) || a.id.localeCompare(b.id));
    for (const sale of shown) {
      if (!cards.has(sale.id)) cards.set(sale.id, card(context, sale.id));
      cards.get(sale.id).update(sale);
    }
    const nodes = shown.map((sale) => cards.get(sale.id).node);
    // Moved only if something is elsewhere now, so that nobody loses the focus for nothing.
    if (nodes.length !== list.children.length || nodes.some((node, index) => list.children[index] !== node)) {
      const active = document.activeElement;
      list.replaceChildren(...nodes);
      if (active instanceof HTMLElement && list.contains(active)) active.focus();
    }
    none.hidden = shown.length > 0;
    setText(none, sales.length ? t("sales.none_found") : t("sales.none"));
    found.hidden = filters.hidden;
    setText(found, t("sales.count", { count: shown.length, all: format.number(sales.length) }));
  };
  const poll = new Poll(async () => {
    ({ sales } = await app.ask("/v1/sales"));
    replace(trouble);
    draw();
  }, { every: EVERY_MS, onerror: (error) => {
    if (!trouble.childElementCount) replace(trouble, errorNote(context, error, () => poll.soon()));
  } });
  const node = h("section", null,
    h("div.head", null, h("h1", null, t("sales.title")),
      h("a.fs-button.primary", { href: "#/new", "data-action": "new" }, t("sales.new"))),
    filters, found, trouble, none, list);
  return { node, title: t("sales.title"), start: () => poll.start(), stop: () => poll.stop(), keep: () => [search.value, state.value] };
}

function card(context, id) {
  const { t, format } = context;
  const link = h("a", { href: `#/sales/${encodeURIComponent(id)}` });
  const state = h("span.state");
  const when = h("p.fs-soft.fs-small");
  const bar = stockBar(context);
  const node = h("li.fs-card.sale-card", { "data-sale": id },
    h("div.sale-head", null, h("h2", null, link), state),
    h("p.fs-soft.fs-small.id", null, id), when, bar.node);
  let shown = "";
  const update = (sale) => {
    setText(link, sale.title);
    if (shown !== `${sale.state} ${sale.rehearsal}`) {
      replace(state, sale.rehearsal && h("span.fs-pill.warn", null, t("rehearsal")), badge(context, sale.state));
      shown = `${sale.state} ${sale.rehearsal}`;
    }
    const opens = format.dateTime(sale.opens_at);
    setText(when, sale.closes_at ? t("sales.from_to", { from: opens, to: format.dateTime(sale.closes_at) }) : t("sales.from", { from: opens }));
    bar.update(unitsOfAll(sale.items));
    setAttribute(node, "data-state", sale.state);
  };
  return { node, update };
}
