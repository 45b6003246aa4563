/** Languages: one JSON file each in ../locales, chosen by the shopper, else by the browser. */

const REMEMBERED = "fs:language";

/**
 * The language to begin with: the one chosen before, else the first of the browser's that there is, else the first one.
 * @param {string[]} codes  languages there are, the fallback first
 * @returns {string}
 */
export function preferredLanguage(codes) {
  const wanted = [recall(), ...(navigator.languages || [navigator.language])];
  for (const tag of wanted) {
    const found = tag && codes.find((code) => matches(tag, code));
    if (found) return found;
  }
  return codes[0] || "en";
}

/**
 * Remembers the language that the shopper has chosen, on this device.
 * @param {string} code
 */
export function rememberLanguage(code) {
  try {
    localStorage.setItem(REMEMBERED, code);
  } catch {
    // Storage is blocked: the choice lasts as long as the page.
  }
}

function recall() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}

function matches(tag, code) {
  const [wide, narrow] = [code.toLowerCase(), tag.toLowerCase()];
  return narrow === wide || narrow.startsWith(`${wide}-`) || wide.startsWith(`${narrow}-`);
}

/**
 * The tag for numbers, money and times: `en` is written as a reader of en-GB does if that is what the browser asks for.
 * @param {string} code
 * @returns {string}
 */
export function localeOf(code) {
  const own = (navigator.languages || []).find((tag) => matches(tag, code));
  try {
    return Intl.getCanonicalLocales(own || code)[0];
  } catch {
    return code;
  }
}

/**
 * The texts of a language.
 * @param {string} code
 * @param {"shop" | "console"} section
 * @returns {Promise<Words>}
 */
export async function loadWords(code, section) {
  const answer = await fetch(new URL(`../locales/${code}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`no language ${code}`);
  return new Words(code, await answer.json(), section);
}

/** The texts of one section of one language. */
export class Words {
  /**
   * @param {string} code
   * @param {Record<string, any>} file  what the locale file holds
   * @param {"shop" | "console"} section
   */
  constructor(code, file, section) {
    this.code = code;
    this.locale = localeOf(code);
    this.name = file.name;
    this.texts = file[section] || {};
    this.problems = file.problems || {};
    this.plurals = new Intl.PluralRules(this.locale);
    this.numbers = new Intl.NumberFormat(this.locale);
  }

  /**
   * A text with its `{names}` filled in. Numbers are written by the locale's rules; a text that is an object is chosen by
   * the plural form of `params.count`.
   * @param {string} key
   * @param {Record<string, string | number>} [params]
   * @returns {string}
   */
  t(key, params = {}) {
    return this.fill(this.texts[key], params) ?? key;
  }

  /**
   * Whether there is such a text.
   * @param {string} key
   */
  has(key) {
    return Object.hasOwn(this.texts, key);
  }

  /**
   * What a problem of the API means, by its code; null for one that has no text of its own.
   * @param {string} code
   * @returns {string | null}
   */
  problem(code) {
    return Object.hasOwn(this.problems, code) ? this.fill(this.problems[code], {}) : null;
  }

  fill(text, params) {
    if (text && typeof text === "object") text = text[this.plurals.select(Number(params.count))] ?? text.other;
    if (typeof text !== "string") return null;
    return text.replace(/\{(\w+)\}/g, (whole, name) => {
      const value = params[name];
      if (value === undefined) return whole;
      return typeof value === "number" ? this.numbers.format(value) : String(value);
    });
  }
}
