/** Pieces that several views are made of. */

import { announce, focusOn, h, replace, setAttribute, setText } from "../common/dom.js";

const ICONS = {
  good: "M3.5 8.5l3 3 6-7",
  warn: "M8 3.2v6M8 12.6v.1",
  bad: "M4 4l8 8M12 4l-8 8",
  none: "M4 8h8",
};
const STATE_LEVEL = { open: "good", paused: "warn", sold_out: "bad", closed: "none", scheduled: "info" };

/**
 * A small drawing beside a word that says the same.
 * @param {string} name
 */
export function icon(name) {
  return h("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    h("path", { d: ICONS[name], fill: "none", stroke: "currentColor", "stroke-width": "2", "stroke-linecap": "round", "stroke-linejoin": "round" }));
}

/**
 * How something is: an icon and a word.
 * @param {any} context
 * @param {"good" | "warn" | "bad" | "none"} level
 */
export function sign({ t }, level) {
  return h(`span.fs-pill.sign.${level}`, { "data-level": level }, icon(level), t(`sign.${level}`));
}

/**
 * The state of a sale.
 * @param {any} context
 * @param {string} state
 */
export function badge({ t }, state) {
  const level = STATE_LEVEL[state] || "none";
  return h(`span.fs-pill.${level}`, { "data-sale-state": state }, t(`state.${state}`));
}

/**
 * Where units are, as one bar with its numbers beside it.
 * @param {any} context
 * @returns {{node: HTMLElement, update: (numbers: {stock: number, available: number, held: number, sold: number}) => void}}
 */
export function stockBar({ t, format }) {
  const names = ["sold", "held", "available"];
  const parts = Object.fromEntries(names.map((name) => [name, h(`span.part.${name}`)]));
  const numbers = Object.fromEntries(names.map((name) => [name, h("b.fs-numbers", { [`data-${name}`]: true })]));
  const node = h("div.stock", null,
    h("div.bar", { "aria-hidden": "true" }, names.map((name) => parts[name])),
    h("dl.legend", null, names.map((name) => h("div", null,
      h("dt", null, h(`span.key.${name}`, { "aria-hidden": "true" }), t(`units.${name}`)), h("dd", null, numbers[name])))));
  const update = (item) => {
    for (const name of names) {
      parts[name].style.setProperty("flex-grow", String(item.stock ? item[name] / item.stock : 0));
      setAttribute(parts[name], "hidden", !item[name]);
      setText(numbers[name], format.number(item[name]));
    }
  };
  return { node, update };
}

/**
 * The units of an item of the public view; `sold` is what is neither here nor held.
 * @param {{stock: number, available: number, held: number}} item
 */
export function unitsOf({ stock, available, held = 0 }) {
  return { stock, available, held, sold: Math.max(0, stock - available - held) };
}

/**
 * All items together.
 * @param {{stock: number, available: number, held: number}[]} items
 */
export function unitsOfAll(items) {
  const sum = { stock: 0, available: 0, held: 0, sold: 0 };
  for (const item of items) for (const [name, value] of Object.entries(unitsOf(item))) sum[name] += value;
  return sum;
}

/**
 * What an error of the API means, in words.
 * @param {any} context
 * @param {any} error
 * @returns {string}
 */
export function explain({ t, words }, error) {
  if (error.status === 0) return t("error.offline");
  if (error.status === 401) return t("error.unauthenticated");
  if (error.status === 403) return t("error.forbidden");
  return words.problem(error.code) || t("error.other", { detail: error.message || error.code || String(error) });
}

/**
 * A line that says that something went wrong, with a way to try again.
 * @param {any} context
 * @param {any} error
 * @param {() => void} [again]
 */
export function errorNote(context, error, again) {
  return h("div.fs-note.bad.trouble", { role: "alert" }, icon("bad"), h("p", null, explain(context, error)),
    again && h("button.fs-button", { type: "button", "data-action": "retry", onclick: again }, context.t("retry")));
}

/**
 * Something that is to be confirmed. The dialog closes when `act` has succeeded, and stays with what went wrong if not.
 * @param {any} context
 * @param {{title: string, text: string, confirm: string, danger?: boolean, fields?: any[], check?: () => HTMLElement | null,
 *   act: () => Promise<string>}} options  `check` gives the field that cannot be as it is; `act` what is to be announced
 */
export function confirmDialog(context, { title, text, confirm, danger, fields = [], check, act }) {
  const { t } = context;
  const opener = document.activeElement;
  const trouble = h("div", { "data-dialog-error": true });
  const yes = h(`button.fs-button.${danger ? "danger solid" : "primary"}`.replace(" ", "."), { type: "submit", "data-action": "confirm" }, confirm);
  const close = () => dialog.close();
  const form = h("form", { method: "dialog", novalidate: true, onsubmit: async (event) => {
    event.preventDefault();
    if (yes.getAttribute("aria-disabled") === "true") return;
    const wrong = check?.();
    if (wrong) {
      wrong.focus();
      return;
    }
    replace(trouble);
    setAttribute(yes, "aria-disabled", "true");
    try {
      const said = await act();
      close();
      announce(context.announcer, said);
    } catch (error) {
      if (dialog.isConnected) replace(trouble, errorNote(context, error));
    } finally {
      setAttribute(yes, "aria-disabled", null);
    }
  } },
    h("h2", { id: "dialog-title" }, title), h("p", { id: "dialog-text" }, text), fields, trouble,
    h("div.actions", null, yes, h("button.fs-button", { type: "button", "data-action": "dismiss", onclick: close }, t("dismiss"))));
  const dialog = h("dialog.fs-card", { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" }, form);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    // What was pressed may be gone by now: a paused sale cannot be paused.
    if (document.activeElement === document.body) focusOn(document.querySelector("main h1"));
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * A field with its label, a hint, and room for what is wrong with it.
 * @param {string} id
 * @param {string} label
 * @param {HTMLElement} input
 * @param {{hint?: string, optional?: string}} [more]
 */
export function field(id, label, input, { hint, optional } = {}) {
  input.id = id;
  const fault = h("span.fault", { id: `${id}-fault`, hidden: true });
  const hintId = hint ? `${id}-hint` : "";
  if (hint) input.setAttribute("aria-describedby", hintId);
  const node = h("div.fs-field", null,
    h("label", { for: id }, label, optional && h("span.fs-soft.fs-small", null, ` ${optional}`)),
    input, hint && h("span.hint.fs-soft.fs-small", { id: hintId }, hint), fault);
  return { node, input, fault };
}

/**
 * Shows what is wrong with a field, or that nothing is.
 * @param {HTMLElement} input
 * @param {string | null} text
 */
export function showFault(input, text) {
  const fault = document.getElementById(`${input.id}-fault`);
  if (!fault) return;
  replace(fault, text && [icon("bad"), h("span", null, text)]);
  fault.hidden = !text;
  setAttribute(input, "aria-invalid", text ? "true" : null);
  const others = (input.getAttribute("aria-describedby") || "").split(" ").filter((name) => name && name !== fault.id);
  setAttribute(input, "aria-describedby", [...(text ? [fault.id] : []), ...others].join(" ") || null);
}

/**
 * A table that can be read aloud, and scrolled sideways where there is no room.
 * @param {string} caption
 * @param {string[]} heads
 * @param {any[][]} rows  the first of each is its head
 * @param {{hidden?: boolean}} [options]  `hidden`: the caption is read aloud only
 */
export function table(caption, heads, rows, { hidden = false } = {}) {
  return h("div.scroll", { tabindex: "0", role: "group", "aria-label": caption },
    h("table", null,
      h(hidden ? "caption.fs-hidden" : "caption", null, caption),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", null, rows.map(([first, ...rest]) => h("tr", null, h("th", { scope: "row" }, first), rest.map((cell) => h("td", null, cell)))))));
}

/**
 * Puts a text on the clipboard; where that is not allowed, shows it selected.
 * @param {any} context
 * @param {string} text
 */
export async function copy(context, text) {
  try {
    await navigator.clipboard.writeText(text);
    announce(context.announcer, context.t("copied"));
    return true;
  } catch {
    const area = h("textarea.fs-input", { readonly: true, rows: "12", "aria-label": context.t("copy.by_hand") });
    area.value = text;
    const dialog = h("dialog.fs-card", { "aria-labelledby": "copy-title" },
      h("h2", { id: "copy-title" }, context.t("copy.by_hand")), area,
      h("div.actions", null, h("button.fs-button", { type: "button", "data-action": "dismiss", onclick: () => dialog.close() }, context.t("close_box"))));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    area.select();
    return false;
  }
}
