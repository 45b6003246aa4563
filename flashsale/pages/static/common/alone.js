/** One tab at a time, and what tabs have to know of each other at once. */

import { pause } from "./api.js";

const SHOWN_MS = 5_000;

/**
 * Does the work while no other tab does any of this name, where the browser can see to that.
 * @template T
 * @param {string} name
 * @param {() => Promise<T> | T} work
 * @returns {Promise<T>}
 */
export async function alone(name, work) {
  if (!navigator.locks) return work();
  let began = false;
  try {
    return await navigator.locks.request(name, () => {
      began = true;
      return work();
    });
  } catch (error) {
    if (began) throw error;
    return work(); // there are no locks where storage is denied
  }
}

/**
 * Shows a value to other tabs, for a while: what one tab writes to the storage another may see only some time later, but which
 * locks are held all of them know. Resolves when it is shown, or cannot be.
 * @param {string} name
 * @param {any} value
 * @returns {Promise<void>}
 */
export function show(name, value) {
  return new Promise((resolve) => {
    const held = () => {
      resolve();
      return pause(SHOWN_MS);
    };
    const ask = async () => navigator.locks.request(`${name} ${JSON.stringify(value)}`, { mode: "shared" }, held);
    ask().catch(() => resolve()); // there are no locks
  });
}

/**
 * What tabs show under this name.
 * @param {string} name
 * @returns {Promise<any[]>}
 */
export async function shown(name) {
  try {
    const { held } = await navigator.locks.query();
    const names = held.map((lock) => lock.name).filter((each) => each.startsWith(`${name} `));
    return names.map((each) => JSON.parse(each.slice(name.length)));
  } catch {
    return []; // there are no locks
  }
}
