/** What the server finds wrong with a definition, said in the language of the page where it is one of the usual things. */

const KNOWN = [
  [/^Field required$/, "required"],
  [/^Input should be greater than or equal to (-?\d+)$/, "at_least"],
  [/^Input should be less than or equal to (-?\d+)$/, "at_most"],
  [/^Input should be a valid integer/, "whole"],
  [/^Input should be a valid string/, "required"],
  [/^String should have at least (\d+) characters?$/, "required"],
  [/^String should have at most (\d+) characters?$/, "too_long"],
  [/^List should have at least (\d+) items? /, "an_item"],
  [/^must be after opens_at$/, "after_opening"],
  [/^is used by another item$/, "used"],
  [/^must be a currency code/, "currency"],
  [/^must be printable text/, "printable"],
  [/^must be an RFC 3339 instant/, "instant"],
  [/^must be in the years/, "years"],
  [/^must be 0 with a deposit_percent of 100/, "no_rest"],
  [/^must be 1 to 63 of/, "sale_id"],
  [/^must be a whole number from (\d+)/, "at_least"],
];

/**
 * @param {any} context
 * @param {string} detail  of one error of the problem `invalid`
 * @returns {string}
 */
export function faultText({ t, words }, detail) {
  for (const [pattern, name] of KNOWN) {
    const found = pattern.exec(detail);
    if (found && words.has(`fault.${name}`)) return t(`fault.${name}`, { value: found[1] === undefined ? "" : Number(found[1]) });
  }
  return detail;
}
