/** What the page shows, worked out from what is known. Nothing here asks or draws anything. */

/**
 * @typedef {object} Model
 * @property {any} sale  the public view, null until it is known
 * @property {"unknown" | "error" | null} trouble  why there is no view
 * @property {boolean} out  the shopper has to log in
 * @property {Map<string, any>} mine  the shopper's reservations by id
 * @property {string | null} currentId  the one that is shown
 * @property {boolean} browsing  the sale is shown although there is one
 * @property {"reserving" | "opening" | null} buying
 * @property {{code: string, sku?: string, held?: number, at: number} | null} refusal
 * @property {Map<string, {at: string, held: number, asOf: number}>} next  by sku, when the next unit may come back as a refusal
 *   has said it, and how many were held then, by the server's time
 * @property {boolean} choosing  another method is chosen while a payment is under way
 * @property {boolean} starting  a payment was asked for, and the answer is on its way
 * @property {{sku: string | null, chosen: boolean, quantity: number}} want
 */

const UNDER_WAY = new Set(["queued", "requires_action", "processing"]);
const HOURS_SHOWN = 48;

/** States in which the sale itself is shown. */
export const SALE_STATES = new Set([
  "scheduled", "opening", "open", "reserving", "sold_out", "limit", "paused", "closed", "login",
]);

/**
 * The state of the page, as in `data-state`.
 * @param {Model} model
 * @param {number} now  the server's time
 * @returns {string}
 */
export function stateOf(model, now) {
  if (!model.sale) return model.trouble || "loading";
  if (model.buying) return model.buying;
  const current = model.browsing ? null : model.mine.get(model.currentId);
  if (current) return stateOfReservation(model, current);
  const state = stateOfSale(model, now);
  return model.out && ["scheduled", "opening", "open"].includes(state) ? "login" : state;
}

function stateOfReservation(model, reservation) {
  if (reservation.status !== "held") return reservation.status;
  if (model.starting) return "paying";
  const status = reservation.payment?.status;
  if (status === "failed") return "declined";
  if (status === "paid") return "paying"; // the order is being written
  return UNDER_WAY.has(status) && !model.choosing ? "paying" : "held";
}

/**
 * The state of the sale for this shopper.
 * @param {Model} model
 * @param {number} now
 */
export function stateOfSale(model, now) {
  const { sale, refusal } = model;
  if (refusal?.code === "closed" || sale.state === "closed" || (sale.closes_at && now >= Date.parse(sale.closes_at))) {
    return "closed";
  }
  if (refusal?.code === "paused" || sale.state === "paused") return "paused";
  if (now < Date.parse(sale.opens_at)) return "scheduled";
  if (refusal?.code === "limit_reached" || roomOf(model) === 0) return "limit";
  if (sale.state === "scheduled") return "opening";
  const item = wanted(model);
  if (!item?.available || (refusal?.code === "sold_out" && refusal.sku === item.sku)) return "sold_out";
  return "open";
}

/** The item that is chosen. */
export function wanted(model) {
  return model.sale.items.find((item) => item.sku === model.want.sku) || model.sale.items[0];
}

/**
 * How many units of the chosen item this shopper may still have, available or not.
 * @param {Model} model
 */
export function roomOf(model) {
  const item = wanted(model);
  const has = unitsOf(model.mine.values());
  const all = [...has.values()].reduce((sum, units) => sum + units, 0);
  return Math.max(0, Math.min(
    (model.sale.limit_per_customer ?? Infinity) - all,
    (item?.limit_per_customer ?? Infinity) - (has.get(item?.sku) || 0),
    100_000,
  ));
}

/** How many units of the chosen item can be asked for now. */
export function mostOf(model) {
  return Math.max(1, Math.min(roomOf(model), wanted(model)?.available || 1));
}

/**
 * How many units of an item the shopper holds.
 * @param {Model} model
 * @param {string} sku
 */
export function heldOf(model, sku) {
  return unitsOf(model.mine.values(), ["held"]).get(sku) || 0;
}

/** Units of each sku in reservations of these states; if left out, those that count against the limits. */
function unitsOf(reservations, states = ["held", "confirmed"]) {
  const units = new Map();
  for (const { status, items } of reservations) {
    if (!states.includes(status)) continue;
    for (const { sku, quantity } of items) units.set(sku, (units.get(sku) || 0) + quantity);
  }
  return units;
}

/** Reservations that are worth going back to. */
export function live(model) {
  return [...model.mine.values()].filter(({ status }) => status === "held" || status === "confirmed");
}

/**
 * The reservation to show first: a hold, then an order, then what ended lately and was not read yet.
 * @param {Iterable<any>} reservations
 * @param {Set<string>} read  ids whose end the shopper has seen
 * @param {number} now
 * @returns {any}
 */
export function mostRelevant(reservations, read, now) {
  const rank = ({ id, status, payment, held_until: until }) => {
    if (status === "held") return 0;
    if (status === "confirmed") return 1;
    if (read.has(id)) return 9;
    if (status === "refunded" || (payment && payment.status !== "cancelled")) return 2;
    return now - Date.parse(until) < HOURS_SHOWN * 3_600_000 ? 3 : 9;
  };
  const sorted = [...reservations].map((each) => [rank(each), each]).sort(([a, x], [b, y]) => a - b || y.place - x.place);
  return sorted.length && sorted[0][0] < 9 ? sorted[0][1] : null;
}

/**
 * What is paid when, as flashsale/model/schedule.py works it out: exact in minor units.
 * @param {number} amount
 * @param {{deposit_percent: number, instalments: number}} terms
 */
export function scheduleOf(amount, { deposit_percent: percent, instalments }) {
  const part = Number((BigInt(amount) * BigInt(percent) + 50n) / 100n);
  const deposit = Math.max(1, part);
  const rest = amount - deposit;
  const count = Math.min(instalments, rest);
  if (!count) return { deposit, balance: rest, instalments: [] };
  const rate = Math.floor(rest / count);
  const more = rest - rate * count;
  return { deposit, balance: 0, instalments: Array.from({ length: count }, (_, i) => rate + (i < more ? 1 : 0)) };
}

/**
 * Rates of the same amount together: [[12, 3400], [24, 3300]].
 * @param {number[]} rates
 * @returns {[number, number][]}
 */
export function groupsOf(rates) {
  const groups = [];
  for (const rate of rates) {
    const last = groups.at(-1);
    if (last && last[1] === rate) last[0] += 1;
    else groups.push([1, rate]);
  }
  return groups;
}
