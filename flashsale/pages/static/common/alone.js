/** One tab at a time. */

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
