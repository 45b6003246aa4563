/** What operators write, as the API takes it: exact amounts of money, whole numbers and instants. */

import { decimalsOf, decimalText } from "../common/format.js";

const MOST = 2n ** 53n - 1n;

/**
 * A price as written, in minor units. Never by way of a fraction: 19.99 is 1999 and nothing near it.
 * A comma is a decimal point too; thousands are not separated, as `1.234` would mean two things.
 * @param {string} text
 * @param {string} currency
 * @returns {number | null} null if it cannot be read
 */
export function minorUnits(text, currency) {
  const decimals = decimalsOf(currency);
  const parts = /^(\d{1,16})(?:[.,](\d*))?$/.exec(text.replace(/[\s\u00a0\u202f]/g, ""));
  if (!parts || (parts[2] || "").length > decimals) return null;
  const amount = BigInt(parts[1] + (parts[2] || "").padEnd(decimals, "0"));
  return amount > MOST ? null : Number(amount);
}

/**
 * Minor units as somebody would write them.
 * @param {number} amount
 * @param {string} currency
 */
export function majorText(amount, currency) {
  return decimalText(amount, decimalsOf(currency));
}

/**
 * A whole number as written. What is none stays as it is: the server then says what is wrong with it.
 * @param {string} text
 * @returns {number | string | null} null for nothing
 */
export function wholeNumber(text) {
  const plain = text.trim();
  if (!plain) return null;
  return /^-?\d{1,15}$/.test(plain) ? Number(plain) : plain;
}

/**
 * An instant as a field of type `datetime-local` shows it, in the time zone of this device.
 * @param {string} instant  RFC 3339
 */
export function localText(instant) {
  const at = new Date(instant);
  if (Number.isNaN(at.getTime())) return "";
  const two = (value) => String(value).padStart(2, "0");
  const day = `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/**
 * The instant that a local time is; null for one that does not exist there, as the clocks go past it in spring.
 * @param {string} text  the value of a field of type `datetime-local`
 * @returns {string | null}
 */
export function instantOf(text) {
  const at = new Date(text);
  if (!text || Number.isNaN(at.getTime())) return null;
  if (!localText(at.toISOString()).startsWith(text.slice(0, 16))) return null;
  return at.toISOString();
}
