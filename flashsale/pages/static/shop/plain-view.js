/** Screens without a sale: it is loading, there is none, or nobody answers. */

import { h } from "../common/dom.js";
import { button, icon } from "./parts.js";

/**
 * @param {import("./parts.js").Context} context
 * @param {"loading" | "unknown" | "error"} state
 * @returns {{node: Element, update: () => void}}
 */
export function plainView({ app, words }, state) {
  if (state === "loading") {
    const bone = (name) => h(`span.bone.${name}`);
    const node = h("div.page.plain.waiting", null, h("h1.fs-hidden", null, words.t("loading.title")),
      h("div.fs-card", { "aria-hidden": "true" }, bone("pill"), bone("title"), bone("figure"), bone("line")),
      h("div.fs-card", { "aria-hidden": "true" }, bone("line"), bone("button")));
    return { node, update: () => {} };
  }
  const retry = state === "error" ? button("retry", words.t("error.retry"), () => app.feed.refresh(), "primary") : null;
  const node = h("div.page.plain", null,
    h("section.fs-card.head.result", null,
      icon(state === "error" ? "bang" : "cross", state === "error" ? "warn" : ""),
      h("h1", null, words.t(`${state}.title`)),
      h("p", null, words.t(`${state}.text`)),
      retry && h("div.buttons", null, retry)));
  return { node, update: () => {} };
}
