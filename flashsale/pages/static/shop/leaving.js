/** The way to a payment provider's own page and back. */

const PLACE = "fs:started";

/**
 * Remembers, for this tab, that the payment was asked for here: then the page goes on to the provider by itself, once.
 * @param {any} reservation
 */
export function startedHere(reservation) {
  const { payment } = reservation;
  if (payment) keep(`${reservation.id}:${payment.attempt}`);
}

/** @param {any} reservation */
export function wasStartedHere(reservation) {
  try {
    return sessionStorage.getItem(PLACE) === `${reservation.id}:${reservation.payment?.attempt}`;
  } catch {
    return false;
  }
}

/** Whether a site of the brand shows this page in a frame. Providers do not let themselves be shown in one. */
export const framed = window.top !== window;

/** @param {any} reservation */
export function leadToProvider(reservation) {
  const url = providerUrl(reservation);
  if (!url || framed) return; // out of a frame only a press of the shopper leads: the link is there
  keep(null);
  location.assign(url);
}

/**
 * Where the shopper pays; null when there is no such page. The simulator is told the way back.
 * @param {any} reservation
 * @returns {string | null}
 */
export function providerUrl(reservation) {
  const { action, provider } = reservation.payment || {};
  if (action?.type !== "redirect") return null;
  const url = parsed(action.url);
  if (url?.protocol !== "https:" && url?.protocol !== "http:") return null;
  if (provider === "simulator") url.searchParams.set("return", location.origin + location.pathname);
  return url.href;
}

function parsed(text) {
  try {
    return new URL(text, location.href);
  } catch {
    return null;
  }
}

function keep(value) {
  try {
    if (value === null) sessionStorage.removeItem(PLACE);
    else sessionStorage.setItem(PLACE, value);
  } catch {
    // Storage is blocked: the shopper follows the link instead.
  }
}
