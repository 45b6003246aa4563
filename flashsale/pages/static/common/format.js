/** Numbers, money and times by the rules of a locale. */

// Of ISO 4217, as flashsale/model/currency.py has them: browsers disagree with it for some (they count no fils in IQD).
const NO_DECIMALS = new Set("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(" "));
const THREE_DECIMALS = new Set("BHD IQD JOD KWD LYD OMR TND".split(" "));

/**
 * How many decimals the minor units of a currency are.
 * @param {string} currency
 * @returns {number}
 */
export function decimalsOf(currency) {
  return NO_DECIMALS.has(currency) ? 0 : THREE_DECIMALS.has(currency) ? 3 : 2;
}

/**
 * Minor units as a decimal text, without going through a fraction that may not be exact.
 * @param {number} amount  a whole number
 * @param {number} decimals
 * @returns {string}
 */
export function decimalText(amount, decimals) {
  const digits = String(Math.abs(amount)).padStart(decimals + 1, "0");
  const sign = amount < 0 ? "-" : "";
  if (!decimals) return sign + digits;
  return `${sign}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

/**
 * Days, hours, minutes and seconds of a time, rounded up to whole seconds so that 0 means that it is over.
 * @param {number} ms
 */
export function partsOf(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return {
    days: Math.floor(seconds / 86400),
    hours: Math.floor(seconds / 3600) % 24,
    minutes: Math.floor(seconds / 60) % 60,
    seconds: seconds % 60,
  };
}

const UNITS = { days: "day", hours: "hour", minutes: "minute", seconds: "second" };

/** The formats of one locale. */
export class Format {
  /** @param {string} locale  such as `de-DE` */
  constructor(locale) {
    this.locale = locale;
    this.made = new Map();
  }

  kept(key, make) {
    if (!this.made.has(key)) this.made.set(key, make());
    return this.made.get(key);
  }

  /**
   * @param {number} amount  in minor units
   * @param {string} currency  of ISO 4217
   */
  money(amount, currency) {
    const decimals = decimalsOf(currency);
    const options = {
      style: "currency",
      currency,
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
    };
    const format = this.kept(`money ${currency}`, () => new Intl.NumberFormat(this.locale, options));
    return format.format(decimalText(amount, decimals));
  }

  /** @param {number} value */
  number(value) {
    return this.kept("number", () => new Intl.NumberFormat(this.locale)).format(value);
  }

  /** @param {number} fraction  0.1 is 10 % */
  percent(fraction) {
    const options = { style: "percent", maximumFractionDigits: 1 };
    return this.kept("percent", () => new Intl.NumberFormat(this.locale, options)).format(fraction);
  }

  /**
   * The time of day with its seconds.
   * @param {string | number | Date} instant
   */
  time(instant) {
    return this.kept("time", () => new Intl.DateTimeFormat(this.locale, { timeStyle: "medium" })).format(
      new Date(instant),
    );
  }

  /**
   * Day and time of day.
   * @param {string | number | Date} instant
   * @param {"short" | "long"} [length]
   */
  dateTime(instant, length = "short") {
    const options = length === "long"
      ? { weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "numeric", minute: "2-digit",
          timeZoneName: "short" }
      : { dateStyle: "medium", timeStyle: "medium" };
    return this.kept(`dateTime ${length}`, () => new Intl.DateTimeFormat(this.locale, options)).format(new Date(instant));
  }

  /**
   * A time in words, its two largest parts: `2 hours, 5 minutes`.
   * @param {number} ms
   * @param {"long" | "short" | "narrow"} [display]
   */
  duration(ms, display = "long") {
    const parts = partsOf(ms);
    const found = Object.keys(UNITS).filter((name) => parts[name]);
    const names = found.length ? found.slice(0, 2) : ["seconds"];
    const texts = names.map((name) => this.unit(parts[name], name, display).text);
    return this.kept(`list ${display}`, () => new Intl.ListFormat(this.locale, { type: "unit", style: display })).format(texts);
  }

  /**
   * A number of days, hours, minutes or seconds: the whole text, and its unit alone.
   * @param {number} value
   * @param {"days" | "hours" | "minutes" | "seconds"} name
   * @param {"long" | "short" | "narrow"} [unitDisplay]
   */
  unit(value, name, unitDisplay = "long") {
    const options = { style: "unit", unit: UNITS[name], unitDisplay };
    const format = this.kept(`unit ${name} ${unitDisplay}`, () => new Intl.NumberFormat(this.locale, options));
    const parts = format.formatToParts(value);
    return {
      text: parts.map((part) => part.value).join(""),
      label: parts.filter((part) => part.type === "unit").map((part) => part.value).join(" "),
    };
  }

  /**
   * A running time as on a clock: `4:59`, `1:00:05`.
   * @param {number} ms
   */
  clock(ms) {
    const { days, hours, minutes, seconds } = partsOf(ms);
    const all = days * 24 + hours;
    const two = (value) => String(value).padStart(2, "0");
    return all ? `${all}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
  }
}
