/** The choice of the language in the head of a page. */

import { h, replace } from "./dom.js";
import { loadWords, rememberLanguage } from "./i18n.js";

/**
 * Offers the languages, and loads the texts of the one that is chosen; without them the page stays with what it has.
 * @param {{code: string, name: string}[]} languages
 * @param {"shop" | "console"} section
 * @param {() => string} current  the code of the language that the page speaks
 * @param {(words: import("./i18n.js").Words) => void} onchange
 */
export function offerLanguages(languages, section, current, onchange) {
  const select = document.querySelector('select[data-action="language"]');
  replace(select, languages.map(({ code, name }) => h("option", { value: code, lang: code, selected: code === current() }, name)));
  select.parentElement.hidden = languages.length < 2;
  select.addEventListener("change", async () => {
    const code = select.value;
    const words = await loadWords(code, section).catch(() => null);
    if (code !== select.value) return; // another one was chosen meanwhile
    if (!words) {
      select.value = current();
      return;
    }
    rememberLanguage(code);
    onchange(words);
  });
}
