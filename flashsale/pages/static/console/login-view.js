/** Asks for the API key. It stays in memory: a reload asks again. */

import { h, replace, setAttribute } from "../common/dom.js";
import { explain, field, icon } from "./parts.js";

/**
 * @param {any} context
 * @returns {import("./main.js").View}
 */
export function loginView(context) {
  const { app, t, why, kept, done } = context;
  // No name, no autofill: neither the browser nor a password manager is to keep it by itself.
  const input = h("input.fs-input", { type: "password", autocomplete: "off", autocapitalize: "off", spellcheck: "false", required: true });
  if (kept) input.value = kept;
  const { node: key } = field("key", t("login.key"), input, { hint: t("login.hint") });
  const note = h("div", { role: "alert" });
  const button = h("button.fs-button.primary", { type: "submit", "data-action": "login" }, t("login.button"));
  const say = (text, level = "bad") => {
    replace(note, text && h(`p.fs-note.${level}.trouble`, null, icon(level), text));
    setAttribute(input, "aria-invalid", level === "bad" && text ? "true" : null);
  };
  if (why === "unauthenticated") say(t("login.lost"), "warn");
  if (why === "left") say(t("login.left"), "good");
  let busy = false;
  const submit = async (event) => {
    event.preventDefault();
    const value = input.value.trim();
    if (busy) return;
    if (!value) {
      say(t("login.empty"));
      input.focus();
      return;
    }
    busy = true;
    setAttribute(button, "aria-disabled", "true");
    try {
      await app.login(value);
      input.value = "";
      done();
    } catch (error) {
      say(error.status === 401 ? t("login.wrong") : error.status === 403 ? t("login.scope") : explain(context, error));
      input.focus();
      input.select();
    } finally {
      busy = false;
      setAttribute(button, "aria-disabled", null);
    }
  };
  const node = h("section.fs-card.login", null,
    h("h1", null, t("login.title")), h("p.fs-soft", null, t("login.text")),
    h("form", { autocomplete: "off", novalidate: true, onsubmit: submit }, key, note, button));
  return { node, title: t("login.title"), focus: input, keep: () => input.value };
}
