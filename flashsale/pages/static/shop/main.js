/** Begins the shop page: reads its settings and its language, and draws what the App knows. */

import { announce, focusOn, h, replace, setAttribute, setText } from "../common/dom.js";
import { Format, partsOf } from "../common/format.js";
import { loadWords, preferredLanguage } from "../common/i18n.js";
import { offerLanguages } from "../common/language.js";
import { App } from "./app.js";
import { tidyAddress } from "./element.js";
import { holdView } from "./hold-view.js";
import { lineText } from "./parts.js";
import { plainView } from "./plain-view.js";
import { resultView } from "./result-view.js";
import { saleView } from "./sale-view.js";
import { SALE_STATES, wanted } from "./state.js";

const CONFIG = "/pages/config.json";
const TICK_MS = 200;
const MARKS_MS = [60_000, 10_000]; // what a screen reader hears of a countdown
const PLAIN = new Set(["loading", "unknown", "error"]);
const HELD = new Set(["held", "paying", "declined"]);

/** The page: one screen at a time. */
class Page {
  constructor(config, words) {
    this.config = config;
    this.main = document.querySelector("main");
    this.region = document.querySelector("[aria-live]");
    this.banner = document.querySelector("[data-banner]");
    this.key = "";
    this.state = "";
    const sale = decodeURIComponent(location.pathname.split("/").filter(Boolean).pop() || "");
    this.app = new App(config, sale, () => this.draw());
    this.speak(words);
  }

  /** Everything in this language from now on. */
  speak(words) {
    this.words = words;
    this.context = { app: this.app, words, format: new Format(words.locale) };
    document.documentElement.lang = words.code === "zh" ? "zh-Hans" : words.code;
    setText(document.querySelector("[data-brand]"), this.config.brand);
    setText(document.querySelector(".fs-skip"), words.t("skip"));
    setText(this.banner, words.t("offline"));
    setText(document.querySelector("[data-language-label]"), words.t("language"));
    const zone = new Intl.DateTimeFormat(words.locale, { timeZoneName: "long" }).formatToParts(new Date())
      .find((part) => part.type === "timeZoneName")?.value;
    setText(document.querySelector("[data-zone]"), words.t("zone", { zone }));
    this.key = "";
  }

  languages(codes) {
    offerLanguages(codes, "shop", () => this.words.code, (words) => {
      this.speak(words);
      this.draw();
    });
  }

  draw() {
    const { app } = this;
    const state = app.state;
    const key = this.keyOf(state);
    const changed = state !== this.state;
    if (key !== this.key) this.build(state, key, changed);
    else if (changed) this.main.dataset.state = state;
    this.view.update(state);
    setAttribute(document.body, "data-offline", app.offline);
    this.banner.hidden = !app.offline;
    if (changed) this.tell(state);
    this.state = state;
    this.mark(state);
    this.title(state);
  }

  /** What a screen was built for: another key needs another one. */
  keyOf(state) {
    const { model, current, config } = this.app;
    if (PLAIN.has(state)) return `${state} ${this.words.code}`;
    const { title, items } = model.sale;
    const sale = JSON.stringify([this.words.code, title, model.sale.currency, model.sale.opens_at, items.map(({ sku, title: name, price }) => [sku, name, price])]);
    if (SALE_STATES.has(state)) return `sale ${sale}`;
    const { payment } = current;
    return JSON.stringify([state, sale, current.id, current.status, current.held_until, model.starting, model.choosing,
      payment?.attempt, payment?.status, payment?.error, payment?.action, config.stripe, state === "confirmed" && model.mine.size]);
  }

  build(state, key, changed) {
    const active = document.activeElement;
    const inside = this.main.contains(active) && active !== this.main;
    const chosen = changed ? [] : [...this.main.querySelectorAll("input:checked")];
    this.key = key;
    if (PLAIN.has(state)) this.view = plainView(this.context, state);
    else if (SALE_STATES.has(state)) this.view = saleView(this.context);
    else if (HELD.has(state)) this.view = holdView(this.context, state);
    else this.view = resultView(this.context, state);
    this.view.update(state);
    replace(this.main, this.view.node);
    this.main.dataset.state = state;
    const first = PLAIN.has(this.state) || !this.state;
    if (changed && !first) this.arrive();
    else if (inside) this.stay(active);
    for (const input of chosen) {
      const found = this.again(input);
      if (found) found.checked = true;
    }
  }

  /** The same screen anew: what had the focus keeps it, if there still is such a thing. */
  stay(active) {
    const found = this.again(active);
    found?.focus();
    if (!found || document.activeElement !== found) this.arrive();
  }

  /** What a control of the screen before is on this one: known by its action, or by its name, and of several by the value. */
  again({ dataset: { action }, name, type, value }) {
    if (action) return this.main.querySelector(`[data-action="${action}"]`);
    return [...this.main.querySelectorAll("input")]
      .find((each) => name && each.name === name && (type !== "radio" || each.value === value));
  }

  /** A new screen: its heading takes the focus, so that reading goes on from there. */
  arrive() {
    window.scrollTo(0, 0);
    focusOn(this.main.querySelector("h1"));
  }

  /** Says the change to those who do not see it. */
  tell(state) {
    const { words, context: { format, app } } = this;
    if (!this.state || this.state === "loading") return;
    if (state === "opening" && this.state === "reserving") return;
    if (state === "open" && this.state === "opening") return;
    const name = state === "opening" ? "open" : state;
    if (!words.has(`say.${name}`)) return;
    const { current, model } = app;
    const params = current && !SALE_STATES.has(state)
      ? { items: current.items.map((line) => lineText(this.context, model.sale, line)).join(", "), place: current.place,
          time: format.duration(Math.max(0, Date.parse(current.held_until) - app.clock.now())) }
      : { items: model.sale ? wanted(model).title : "" };
    announce(this.region, words.t(`say.${name}`, params));
  }

  /** Says how much time is left, at few moments. */
  mark(state) {
    const { app, words, context: { format } } = this;
    const ends = state === "scheduled" ? app.model.sale.opens_at : HELD.has(state) ? app.current?.held_until : null;
    const left = ends ? Date.parse(ends) - app.clock.now() : null;
    const before = this.ends === ends ? this.left : null;
    [this.ends, this.left] = [ends, left];
    if (left === null || before === null) return;
    const passed = MARKS_MS.find((mark) => before > mark && left <= mark);
    if (!passed) return;
    const time = format.duration(passed);
    announce(this.region, state === "scheduled" ? words.t("say.opens_in", { time }) : words.t("say.time_left", { time }));
  }

  title(state) {
    const { app, words, context: { format } } = this;
    const sale = app.model.sale?.title || words.t("loading.title");
    let before = "";
    if (HELD.has(state)) before = format.clock(Date.parse(app.current.held_until) - app.clock.now());
    else if (state === "scheduled") {
      const left = Date.parse(app.model.sale.opens_at) - app.clock.now();
      before = partsOf(left).days ? "" : format.clock(left);
    }
    const text = [before, sale, this.config.brand].filter(Boolean).join(" · ");
    if (document.title !== text) document.title = text;
  }

  start() {
    this.draw();
    this.app.start();
    setInterval(() => document.visibilityState !== "hidden" && this.draw(), TICK_MS);
  }
}

async function begin() {
  tidyAddress();
  const config = await (await fetch(CONFIG)).json();
  const languages = config.languages;
  const words = await loadWords(preferredLanguage(languages.map(({ code }) => code)), "shop");
  const page = new Page(config, words);
  page.languages(languages);
  page.start();
}

begin().catch((error) => {
  // Without settings or texts there is nothing to draw with. A sign that every language has, and another try by itself.
  console.error(error);
  const again = () => location.reload();
  document.querySelector(".language").hidden = true;
  replace(document.querySelector("main"), h("p.again", null, h("button.fs-button", { type: "button", "aria-label": "Reload", onclick: again }, "↻")));
  setTimeout(again, 5000 + Math.random() * 15_000);
});
