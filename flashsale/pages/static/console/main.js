/** Begins the console: settings, language, and one view at a time by the hash of the address. */

import { announce, focusOn, replace, setAttribute, setText } from "../common/dom.js";
import { Format } from "../common/format.js";
import { loadWords, preferredLanguage } from "../common/i18n.js";
import { offerLanguages } from "../common/language.js";
import { App } from "./app.js";
import { editView } from "./edit-view.js";
import { loginView } from "./login-view.js";
import { confirmDialog } from "./parts.js";
import { saleView } from "./sale-view.js";
import { salesView } from "./sales-view.js";
import { storyView } from "./story-view.js";

const CONFIG = "/pages/config.json";

/**
 * What a view is: its element, and how it begins, ends, and is rebuilt in another language.
 * @typedef {object} View
 * @property {HTMLElement} node
 * @property {string} title
 * @property {() => void} [start]
 * @property {() => void} [stop]
 * @property {() => any} [keep]  what a view of the same kind goes on with when the language changes
 * @property {() => boolean} [dirty]  whether something would be lost
 * @property {HTMLElement} [focus]  what takes the focus; the heading if it is left out
 */

/**
 * Where an address leads.
 * @param {string} hash
 * @returns {{view: string, sale?: string}}
 */
export function route(hash) {
  const [where, sale, what] = hash.replace(/^#\/?/, "").split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  if (where === "new") return { view: "edit" };
  if (where === "sales" && sale) {
    if (what === "edit" || what === "story") return { view: what, sale };
    return { view: "sale", sale };
  }
  return { view: "sales" };
}

const VIEWS = { login: loginView, sales: salesView, edit: editView, sale: saleView, story: storyView };

class Console {
  constructor(config, words) {
    this.config = config;
    this.main = document.querySelector("main");
    this.banner = document.querySelector("[data-banner]");
    this.out = document.querySelector('[data-action="logout"]');
    this.app = new App(config, (why) => this.show({ why }));
    this.view = null;
    this.hash = location.hash;
    this.speak(words);
    this.out.addEventListener("click", () => this.leave(() => {
      this.app.logout();
      this.show({ why: "left" });
    }));
    window.addEventListener("hashchange", () => this.moved());
    window.addEventListener("beforeunload", (event) => {
      if (this.view?.dirty?.()) event.preventDefault();
    });
    window.addEventListener("offline", () => this.online());
    window.addEventListener("online", () => this.online());
    document.querySelector(".fs-skip").addEventListener("click", (event) => {
      event.preventDefault();
      focusOn(this.main.querySelector("h1"));
    });
  }

  /** Everything in this language from now on. */
  speak(words) {
    this.words = words;
    this.t = (key, params) => words.t(key, params);
    this.format = new Format(words.locale);
    const { t } = this;
    document.documentElement.lang = words.code === "zh" ? "zh-Hans" : words.code;
    setText(document.querySelector("[data-brand]"), t("brand", { brand: this.config.brand || "flashsale" }));
    setText(document.querySelector(".fs-skip"), t("skip"));
    setText(document.querySelector("[data-language-label]"), t("language"));
    setText(this.out, t("logout"));
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    setText(document.querySelector("[data-zone]"), t("zone", { zone: timeZone }));
    this.online();
  }

  languages(codes) {
    offerLanguages(codes, "console", () => this.words.code, (words) => {
      const kept = this.view?.keep?.();
      this.speak(words);
      this.show({ kept, still: true });
    });
  }

  online() {
    this.banner.hidden = navigator.onLine;
    setText(this.banner, navigator.onLine ? "" : this.t("error.offline"));
  }

  moved() {
    if (location.hash === this.hash) return;
    const wanted = location.hash;
    if (!this.view?.dirty?.()) {
      this.go(wanted);
      return;
    }
    history.replaceState(null, "", this.hash || "#/");
    this.leave(() => this.go(wanted));
  }

  /** Does it, after a question if something would be lost. */
  leave(act) {
    if (!this.view?.dirty?.()) {
      act();
      return;
    }
    const { t } = this;
    confirmDialog(this.context(), {
      title: t("discard.title"), text: t("discard.text"), confirm: t("discard.confirm"), danger: true,
      act: async () => {
        this.view.dirty = () => false;
        setTimeout(act);
        return t("discard.done");
      },
    });
  }

  /** Another place of the console. */
  go(hash, say = "") {
    this.hash = hash;
    if (location.hash !== hash) history.pushState(null, "", hash);
    this.show({});
    if (say) announce(document.querySelector("[data-announcer]"), say);
  }

  context(extra = {}) {
    return {
      app: this.app, words: this.words, t: this.t, format: this.format,
      announcer: document.querySelector("[data-announcer]"),
      go: (hash, say) => this.go(hash, say), ...extra,
    };
  }

  show({ why = "", kept, still = false }) {
    document.querySelector("dialog[open]")?.close();
    this.view?.stop?.();
    const at = this.app.open ? route(location.hash) : { view: "login" };
    const first = this.main.dataset.view === "loading";
    const view = VIEWS[at.view](this.context({ sale: at.sale, why, kept, done: () => this.go(location.hash || "#/") }));
    this.view = view;
    replace(this.main, view.node);
    this.main.dataset.view = at.view;
    setAttribute(this.out, "hidden", !this.app.open);
    const title = [view.title, this.t("brand", { brand: this.config.brand || "flashsale" })].join(" · ");
    if (document.title !== title) document.title = title;
    view.start?.();
    if (still) return;
    window.scrollTo(0, 0);
    if (view.focus) view.focus.focus();
    else if (!first) focusOn(this.main.querySelector("h1"));
  }
}

async function begin() {
  const config = await (await fetch(CONFIG)).json();
  const { languages } = config;
  const words = await loadWords(preferredLanguage(languages.map(({ code }) => code)), "console");
  const page = new Console(config, words);
  page.languages(languages);
  page.show({});
}

begin().catch((error) => {
  // Without settings or texts there is nothing to draw with: another try is all that is left.
  console.error(error);
  document.querySelector(".language").hidden = true;
  setTimeout(() => location.reload(), 5000 + 5000 * Math.random());
});
