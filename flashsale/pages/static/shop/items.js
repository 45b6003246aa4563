/** The items of a sale with what is left of them, and how many of one. */

import { h, setAttribute, setText } from "../common/dom.js";
import { mostOf, wanted } from "./state.js";

/**
 * @param {import("./parts.js").Context} context
 * @returns {{node: Element, update: (state: string) => void}}
 */
export function itemChoice(context) {
  const { app, words } = context;
  const { items } = app.model.sale;
  const single = items.length === 1;
  const cards = items.map((item) => card(context, item, single));
  const node = single
    ? h("div.items", null, cards.map((each) => each.node))
    : h("fieldset.items", null, h("legend", null, words.t("items.choose")), cards.map((each) => each.node));
  let last = [];
  const update = (state) => {
    const { sale, buying } = app.model;
    const chosen = wanted(app.model).sku;
    const now = [sale, buying, chosen, state];
    if (now.every((each, index) => each === last[index])) return; // most ticks change nothing, and there may be many items
    last = now;
    const bySku = new Map(sale.items.map((item) => [item.sku, item]));
    for (const each of cards) each.update(bySku.get(each.sku), chosen, state);
  };
  return { node, update };
}

function card({ app, words, format }, item, single) {
  const { sku } = item;
  const money = format.money(item.price, app.model.sale.currency);
  const left = h("span.left.fs-numbers");
  const bar = h("span.stock", { "aria-hidden": "true" }, h("span.sold"), h("span.held"));
  const input = single ? null : h("input", { type: "radio", name: "sku", value: sku, onchange: () => app.choose(sku) });
  const node = h(single ? "div.item" : "label.item.choice", null,
    input,
    h("span.body", null,
      h(single ? "h2.name" : "span.name", null, item.title),
      h("span.price.fs-numbers", null, money),
      bar, left));
  const update = (now, chosen, state) => {
    if (!now) return;
    if (input) {
      input.checked = sku === chosen;
      input.disabled = Boolean(app.model.buying);
    }
    node.classList.toggle("chosen", sku === chosen && !single);
    node.classList.toggle("gone", !now.available);
    const sold = Math.max(0, now.stock - now.available - (now.held ?? 0));
    const part = (units) => String(now.stock ? units / now.stock : 0);
    bar.style.setProperty("--sold", part(sold));
    bar.style.setProperty("--held", part(now.held ?? 0));
    setText(left, state === "scheduled"
      ? words.t("items.stock", { count: now.stock })
      : now.available ? words.t("items.left", { count: now.available, of: now.stock }) : words.t("items.none", { held: now.held ?? 0, of: now.stock }));
  };
  return { sku, node, update };
}

/** How many units, where more than one is possible. */
export function quantityField({ app, words }) {
  const input = h("input.fs-input", { type: "number", name: "quantity", min: 1, step: 1, inputmode: "numeric", id: "quantity",
    onchange: () => {
      app.choose(undefined, Math.floor(Number(input.value)) || 1);
      input.value = String(app.model.want.quantity);
    } });
  const step = (by) => () => app.choose(undefined, app.model.want.quantity + by);
  const less = h("button.fs-button", { type: "button", "aria-label": words.t("quantity.less"), onclick: step(-1) }, "−");
  const more = h("button.fs-button", { type: "button", "aria-label": words.t("quantity.more"), onclick: step(1) }, "+");
  const node = h("div.quantity", null, h("label", { for: "quantity" }, words.t("quantity.label")), h("div.stepper", null, less, input, more));
  const update = () => {
    const most = mostOf(app.model);
    node.hidden = most === 1;
    setAttribute(input, "max", most);
    // Not while somebody types.
    if (document.activeElement !== input) input.value = String(app.model.want.quantity);
    const busy = Boolean(app.model.buying);
    input.disabled = busy;
    setAttribute(less, "aria-disabled", busy || app.model.want.quantity <= 1 ? "true" : null);
    setAttribute(more, "aria-disabled", busy || app.model.want.quantity >= most ? "true" : null);
  };
  return { node, update };
}
