/** The items of a definition as rows that can be added and removed. */

import { h, replace, setText } from "../common/dom.js";
import { majorText, minorUnits, wholeNumber } from "./exact.js";
import { field } from "./parts.js";

const MOST = 1000;

/**
 * @param {any} context
 * @param {() => string} currency  the one that is written now
 */
export function itemRows(context, currency) {
  const { t, format } = context;
  const rows = [];
  let made = 0;
  const list = h("ol.item-rows");
  const more = h("button.fs-button", { type: "button", "data-action": "add-item", onclick: () => add().sku.focus() }, t("edit.add_item"));

  const text = (value, attributes = {}) => {
    const input = h("input.fs-input", { type: "text", autocomplete: "off", ...attributes });
    input.value = value ?? "";
    return input;
  };

  /** Prices are kept as they were written: another currency has other decimals, and then reads them anew. */
  function add(item = {}) {
    const id = `item${(made += 1)}`;
    const row = {
      sku: text(item.sku, { maxlength: "64", spellcheck: "false", autocapitalize: "off" }),
      title: text(item.title, { maxlength: "200" }),
      price: text(item.priceText ?? (item.price === undefined ? "" : majorText(item.price, currency())), { inputmode: "decimal" }),
      stock: text(item.stock, { inputmode: "numeric" }),
      limit_per_customer: text(item.limit_per_customer, { inputmode: "numeric" }),
    };
    const echo = h("span.hint.fs-soft.fs-small");
    const price = field(`${id}-price`, t("edit.price"), row.price);
    price.node.append(echo);
    row.echo = () => {
      const amount = minorUnits(row.price.value, currency());
      setText(echo, amount === null || !currency() ? "" : `= ${money(format, amount, currency())}`);
    };
    row.price.addEventListener("input", row.echo);
    const legend = h("legend");
    const removal = h("button.fs-button.plain", { type: "button", "data-action": "remove-item", onclick: () => remove(row) }, t("edit.remove_item"));
    row.number = (index) => {
      setText(legend, t("edit.item", { number: index + 1 }));
      removal.setAttribute("aria-label", t("edit.remove_item_number", { number: index + 1 }));
      removal.hidden = rows.length < 2;
    };
    row.node = h("li", null, h("fieldset.item-row", null, legend,
      field(`${id}-sku`, t("edit.sku"), row.sku).node,
      field(`${id}-title`, t("edit.item_title"), row.title, { optional: t("optional") }).node,
      price.node,
      field(`${id}-stock`, t("edit.stock"), row.stock).node,
      field(`${id}-limit`, t("edit.item_limit"), row.limit_per_customer, { optional: t("optional") }).node,
      removal));
    rows.push(row);
    list.append(row.node);
    row.echo();
    number();
    return row;
  }

  function remove(row) {
    const index = rows.indexOf(row);
    rows.splice(index, 1);
    row.node.remove();
    number();
    (rows[index] || rows[index - 1]).sku.focus();
  }

  function number() {
    rows.forEach((row, index) => row.number(index));
    more.hidden = rows.length >= MOST;
  }

  return {
    node: h("div.items", null, list, more),
    rows,
    fill: (items) => {
      rows.length = 0;
      made = 0;
      replace(list);
      for (const item of items) add(item);
    },
    echo: () => rows.forEach((row) => row.echo()),
    /** What was written, to go on with. */
    written: () => rows.map((row) => ({
      sku: row.sku.value, title: row.title.value, priceText: row.price.value, stock: row.stock.value,
      limit_per_customer: row.limit_per_customer.value,
    })),
    /** As the API takes them. */
    values: () => rows.map((row) => {
      const title = row.title.value.trim();
      const limit = wholeNumber(row.limit_per_customer.value);
      const item = { sku: row.sku.value.trim(), price: minorUnits(row.price.value, currency()), stock: wholeNumber(row.stock.value) };
      if (title) item.title = title;
      if (limit !== null) item.limit_per_customer = limit;
      for (const name of ["price", "stock"]) if (item[name] === null) delete item[name];
      return item;
    }),
  };
}

function money(format, amount, currency) {
  try {
    return format.money(amount, currency);
  } catch {
    return "";
  }
}
