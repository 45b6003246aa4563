/** Creates a sale, or changes one that has not opened. What is wrong is the server's to say, and is shown at the fields. */

import { ApiError } from "../common/api.js";
import { focusOn, h, replace, setAttribute, setText } from "../common/dom.js";
import { decimalsOf } from "../common/format.js";
import { itemRows } from "./edit-items.js";
import { instantOf, localText, minorUnits, wholeNumber } from "./exact.js";
import { faultText } from "./faults.js";
import { errorNote, explain, field, icon, showFault } from "./parts.js";

const METHODS = ["card", "bank_transfer", "alipay", "paypal", "klarna"];
const SALE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;
const NUMBERS = ["hold_seconds", "limit_per_customer"];
const RATES = ["deposit_percent", "instalments", "hold_extension_seconds"];
const FRESH = {
  title: "", opens_at: "", closes_at: null, currency: "EUR", limit_per_customer: 1, hold_seconds: 300, items: [{}],
  payment: { methods: ["card"], deposit_percent: 100, instalments: 0, hold_extension_seconds: 0 }, rehearsal: false,
};

/**
 * @param {any} context
 * @returns {import("./main.js").View}
 */
export function editView(context) {
  const { app, t, sale, kept } = context;
  const title = sale ? t("edit.page_title", { sale }) : t("edit.new_title");
  const body = h("div");
  const node = h("section.edit", null,
    h("p.crumbs", null, h("a", { href: sale ? `#/sales/${encodeURIComponent(sale)}` : "#/" }, sale ? t("back.sale") : t("back.sales"))),
    h("h1", null, title), body);
  let form = null;
  let stopped = false;
  const begin = (definition, written) => {
    form = new Form(context, definition, written);
    replace(body, form.node);
  };
  const load = async () => {
    replace(body, h("p.fs-soft", { role: "status" }, t("loading")));
    try {
      const { definition, editable } = await app.ask(app.sale(sale, "/definition"));
      if (stopped) return;
      if (editable) begin(definition);
      else replace(body, h("div.fs-note.warn.trouble", null, icon("warn"), h("p", null, t("edit.opened"))));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!stopped) replace(body, errorNote(context, error, load));
    }
  };
  if (kept) begin(kept.definition, kept.written);
  else if (!sale) begin(FRESH);
  return {
    node, title,
    start: () => {
      if (!form) load();
    },
    stop: () => {
      stopped = true;
    },
    keep: () => form && { definition: form.definition, written: { ...form.written(), first: form.first, unsure: form.unsure } },
    dirty: () => Boolean(form?.dirty),
  };
}

class Form {
  constructor(context, definition, written) {
    this.context = context;
    this.definition = definition;
    this.sale = context.sale;
    this.inputs = {};
    this.build();
    if (written) this.rewrite(written);
    this.first = written?.first ?? JSON.stringify(this.written());
    /** The id of a sale that was to be created, and may be there now: nobody knows what became of the request. */
    this.unsure = written?.unsure ?? null;
  }

  get dirty() {
    return !this.saved && JSON.stringify(this.written()) !== this.first;
  }

  text(name, value, more = {}, attributes = {}) {
    const { t } = this.context;
    const input = h("input.fs-input", { type: "text", autocomplete: "off", ...attributes });
    input.value = value ?? "";
    this.inputs[name] = input;
    return field(`f-${name}`, t(`edit.${name}`), input, more).node;
  }

  build() {
    const { t } = this.context;
    const { definition } = this;
    const optional = { optional: t("optional") };
    this.items = itemRows(this.context, () => this.inputs.currency.value.trim().toUpperCase());
    this.summary = h("div", { tabindex: "-1", "data-form-error": true });
    this.save = h("button.fs-button.primary", { type: "submit", "data-action": "save" }, this.sale ? t("edit.save") : t("edit.create"));
    const id = this.sale ? null : this.text("id", "", { hint: t("edit.id_hint") }, { maxlength: "63", spellcheck: "false", autocapitalize: "off" });
    const number = (name, value, more) => this.text(name, value, more, { inputmode: "numeric" });
    const { payment } = definition;
    this.node = h("form.fs-card", { novalidate: true, autocomplete: "off", onsubmit: (event) => this.submit(event) },
      this.summary,
      this.group("edit.group.sale", id, this.text("title", definition.title, {}, { maxlength: "200" }), this.instant("opens_at"), this.instant("closes_at", optional)),
      this.group("edit.group.limits",
        this.text("currency", definition.currency, { hint: t("edit.currency_hint") }, { maxlength: "3", spellcheck: "false", autocapitalize: "characters" }),
        number("limit_per_customer", definition.limit_per_customer, { ...optional, hint: t("edit.limit_hint") }),
        number("hold_seconds", definition.hold_seconds, { hint: t("edit.hold_hint") })),
      this.group("edit.group.items", this.items.node),
      this.group("edit.group.payment", this.methods(),
        number("deposit_percent", payment.deposit_percent, { hint: t("edit.deposit_hint") }),
        number("instalments", payment.instalments, { hint: t("edit.instalments_hint") }),
        number("hold_extension_seconds", payment.hold_extension_seconds, { hint: t("edit.extension_hint") })),
      this.group("edit.group.kind", this.check("rehearsal", t("edit.rehearsal"), definition.rehearsal, t("edit.rehearsal_hint"))),
      h("div.actions.save", null, this.save,
        h("a.fs-button", { href: this.sale ? `#/sales/${encodeURIComponent(this.sale)}` : "#/", "data-action": "cancel" }, t("dismiss"))));
    this.inputs.currency.addEventListener("input", () => this.items.echo());
    this.items.fill(definition.items);
  }

  group(key, ...children) {
    const { t } = this.context;
    return h("fieldset.group", null, h("legend", null, h("h2", null, t(key))), children);
  }

  /** A time of day here, and under it the same instant as it is sent. */
  instant(name, more = {}) {
    const { t } = this.context;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const value = this.definition[name] ? localText(this.definition[name]) : "";
    const echo = h("span.hint.fs-soft.fs-small.fs-numbers");
    const node = this.text(name, value, { ...more, hint: t("edit.zone", { zone }) }, { type: "datetime-local", step: "1" });
    const show = () => {
      const at = instantOf(this.inputs[name].value);
      setText(echo, at ? `= ${at.slice(0, 19).replace("T", " ")} UTC` : "");
    };
    this.inputs[name].addEventListener("input", show);
    node.append(echo);
    show();
    return node;
  }

  check(name, label, checked, hint) {
    const input = h("input", { type: "checkbox", id: `f-${name}`, "aria-describedby": hint ? `f-${name}-hint` : null });
    input.checked = Boolean(checked);
    this.inputs[name] = input;
    return h("div.check", null, h("label", { for: `f-${name}` }, input, h("span", null, label)), hint && h("span.hint.fs-soft.fs-small", { id: `f-${name}-hint` }, hint));
  }

  methods() {
    const { t } = this.context;
    const chosen = this.definition.payment.methods;
    return h("fieldset.checks", { id: "f-methods", tabindex: "-1", "aria-describedby": "f-methods-hint" }, h("legend", null, t("edit.methods")),
      METHODS.map((method) => this.check(`method.${method}`, t(`method.${method}`), chosen.includes(method))),
      h("span.hint.fs-soft.fs-small", { id: "f-methods-hint" }, t("edit.methods_hint")),
      h("span.fault", { id: "f-methods-fault", hidden: true }));
  }

  written() {
    const fields = Object.entries(this.inputs).map(([name, input]) => [name, input.type === "checkbox" ? input.checked : input.value]);
    return { fields: Object.fromEntries(fields), items: this.items.written() };
  }

  rewrite({ fields, items }) {
    for (const [name, value] of Object.entries(fields)) {
      const input = this.inputs[name];
      if (input.type === "checkbox") input.checked = value;
      else input.value = value;
      input.dispatchEvent(new Event("input"));
    }
    this.items.fill(items);
  }

  /** In the order of the definition, whose first one shoppers find chosen; new ones come last. */
  chosenMethods() {
    const before = this.definition.payment.methods;
    return [...before, ...METHODS.filter((method) => !before.includes(method))].filter((method) => this.inputs[`method.${method}`].checked);
  }

  /** The definition as PUT takes it. An instant that nobody has touched stays what it was, to the millisecond. */
  values() {
    const { inputs, definition } = this;
    const at = (name) => {
      const untouched = definition[name] && inputs[name].value === localText(definition[name]);
      return untouched ? definition[name] : instantOf(inputs[name].value);
    };
    const value = {
      title: inputs.title.value.trim(), currency: inputs.currency.value.trim().toUpperCase(), items: this.items.values(),
      payment: { methods: this.chosenMethods() }, rehearsal: inputs.rehearsal.checked,
    };
    for (const name of ["opens_at", "closes_at"]) if (at(name)) value[name] = at(name);
    for (const name of NUMBERS) {
      const number = wholeNumber(inputs[name].value);
      if (number !== null) value[name] = number;
    }
    for (const name of RATES) {
      const number = wholeNumber(inputs[name].value);
      if (number !== null) value.payment[name] = number;
    }
    return value;
  }

  /** What only this page can know to be wrong: it could not even be sent. */
  async own(value) {
    const { t, app } = this.context;
    const faults = [];
    if (!this.sale) {
      const id = this.inputs.id.value.trim();
      if (!SALE_ID.test(id)) faults.push([this.inputs.id, t("fault.sale_id")]);
      else if (id !== this.unsure && (await app.ask("/v1/sales")).sales.some((sale) => sale.id === id)) faults.push([this.inputs.id, t("fault.sale_used")]);
    }
    for (const name of ["opens_at", "closes_at"]) {
      const input = this.inputs[name];
      if (input.validity.badInput || (input.value && !value[name])) faults.push([input, t("fault.no_such_time")]);
    }
    for (const row of this.items.rows) {
      const { value: price } = row.price;
      const { value: currency } = this.inputs.currency;
      if (price.trim() && minorUnits(price, currency.trim().toUpperCase()) === null) {
        faults.push([row.price, t("fault.price", { decimals: decimalsOf(currency.trim().toUpperCase()) })]);
      }
    }
    return faults;
  }

  /** The field that a JSON pointer such as `#/items/0/price` is about; null for none. */
  target(pointer) {
    const [name, index, rest] = pointer.replace(/^#?\//, "").split("/");
    if (name === "items" && index !== undefined) return this.items.rows[Number(index)]?.[rest || "sku"] || null;
    if (name === "items") return this.items.rows[0]?.sku || null;
    if (name === "payment") return index === "methods" ? document.getElementById("f-methods") : this.inputs[index] || null;
    if (name === "sale") return this.inputs.id || null;
    return this.inputs[name] || null;
  }

  show(faults, others = []) {
    const { t } = this.context;
    const all = [...this.items.rows.flatMap((row) => Object.values(row).filter((part) => part instanceof HTMLInputElement)), ...Object.values(this.inputs), this.node.querySelector("#f-methods")];
    for (const input of all) showFault(input, null);
    const seen = new Set();
    for (const [input, text] of faults) {
      if (!seen.has(input)) showFault(input, text);
      seen.add(input);
    }
    const count = seen.size + others.length;
    replace(this.summary, count > 0 && h("div.fs-note.bad.trouble", { role: "alert" }, icon("bad"),
      h("div", null, h("p", null, t("edit.faults", { count })), others.map((text) => h("p", null, text)))));
    if (!count) return;
    const first = all.filter((input) => seen.has(input)).sort((a, b) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1))[0];
    if (first) first.focus();
    else focusOn(this.summary);
  }

  async submit(event) {
    event.preventDefault();
    const { save } = this;
    if (save.getAttribute("aria-disabled") === "true") return;
    setAttribute(save, "aria-disabled", "true");
    try {
      const value = this.values();
      const own = await this.own(value);
      const id = this.sale || this.inputs.id.value.trim();
      if (own.some(([input]) => input === this.inputs.id)) this.show(own);
      else await this.put(id, value, own);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.refused(error, []);
    } finally {
      setAttribute(save, "aria-disabled", null);
    }
  }

  async put(id, value, own) {
    const { app, t, go } = this.context;
    // With a fault of its own it is asked about all the same, so that everything is said at once: it cannot be taken as it is.
    const asked = own.length ? { ...value, opens_at: null } : value;
    try {
      await app.ask(app.sale(id), { method: "PUT", body: asked });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!own.length && (error.status === 0 || error.status >= 500)) this.unsure = id;
      this.refused(error, own);
      return;
    }
    this.saved = true;
    go(`#/sales/${encodeURIComponent(id)}`, t("edit.saved"));
  }

  refused(error, own) {
    const { context } = this;
    if (error.code !== "invalid") {
      this.show(own, [explain(context, error)]);
      return;
    }
    const faults = [...own];
    const others = [];
    for (const { pointer, field: name, detail } of error.problem.errors || []) {
      if (own.length && name === "opens_at") continue;
      const input = this.target(pointer || "");
      if (input) faults.push([input, faultText(context, detail)]);
      else others.push(`${name}: ${detail}`);
    }
    if (own.length && !this.inputs.opens_at.value) faults.push([this.inputs.opens_at, context.t("fault.required")]);
    this.show(faults, others);
  }
}
