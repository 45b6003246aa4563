/** Pausing, resuming, closing and restocking, each after a question that says what will happen. */

import { ApiError } from "../common/api.js";
import { h } from "../common/dom.js";
import { newKey } from "../common/key.js";
import { wholeNumber } from "./exact.js";
import { faultText } from "./faults.js";
import { confirmDialog, field, showFault } from "./parts.js";

/**
 * @param {any} context
 * @param {() => any} current  the public view of the sale as it is known now
 * @param {() => void} done  something has changed
 */
export function steering(context, current, done) {
  const { app, t } = context;
  const post = async (verb) => {
    await app.ask(app.sale(current().id, `/${verb}`), { method: "POST" });
    done();
  };

  const pause = () => confirmDialog(context, {
    title: t("pause.title"), text: t("pause.text"), confirm: t("pause"), act: async () => {
      await post("pause");
      return t("pause.done");
    } });

  const resume = () => confirmDialog(context, {
    title: t("resume.title"), text: t("resume.text"), confirm: t("resume"), act: async () => {
      await post("resume");
      return t("resume.done");
    } });

  const close = () => {
    const { id } = current();
    const input = h("input.fs-input", { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
    return confirmDialog(context, {
      title: t("close.title"), text: t("close.text"), confirm: t("close"), danger: true,
      fields: [field("close-id", t("close.type", { sale: id }), input).node],
      check: () => {
        const same = input.value.trim() === id;
        showFault(input, same ? null : t("close.other", { sale: id }));
        return same ? null : input;
      },
      act: async () => {
        await post("close");
        return t("close.done");
      },
    });
  };

  const restock = () => {
    const sale = current();
    const item = h("select.fs-input", null, sale.items.map(({ sku, title }) => h("option", { value: sku }, title === sku ? sku : `${title} (${sku})`)));
    const units = h("input.fs-input", { type: "text", inputmode: "numeric", autocomplete: "off", "data-units": true });
    const reason = h("input.fs-input", { type: "text", autocomplete: "off", maxlength: "200", "data-reason": true });
    let [key, asked] = [newKey(), ""];
    return confirmDialog(context, {
      title: t("restock.title"), text: t("restock.text"), confirm: t("restock"),
      fields: [
        field("restock-item", t("restock.item"), item).node,
        field("restock-units", t("restock.units"), units).node,
        field("restock-reason", t("restock.reason"), reason, { optional: t("optional"), hint: t("restock.reason_hint") }).node,
      ],
      check: () => {
        const number = wholeNumber(units.value);
        const good = typeof number === "number" && number >= 1;
        showFault(units, good ? null : t("fault.at_least", { value: 1 }));
        return good ? null : units;
      },
      act: async () => {
        const body = { units: wholeNumber(units.value) };
        if (reason.value.trim()) body.reason = reason.value.trim();
        const text = JSON.stringify([item.value, body]);
        // The same again is the same deed, even if its answer was lost; anything else is another one.
        if (asked && asked !== text) key = newKey();
        asked = text;
        try {
          await app.ask(app.sale(sale.id, `/items/${encodeURIComponent(item.value)}/restock`), { method: "POST", body, key });
        } catch (error) {
          if (error instanceof ApiError && error.code === "invalid") {
            for (const { field: name, detail } of error.problem.errors || []) {
              const input = name === "units" ? units : name === "reason" ? reason : null;
              if (input) showFault(input, faultText(context, detail));
            }
          }
          throw error;
        }
        done();
        return t("restock.done", { count: Number(body.units), item: item.selectedOptions[0].textContent });
      },
    });
  };
  return { pause, resume, close, restock };
}
