/** Names for what is to be done once. */

/** A name for one deed, so that it is done once however often it is asked for. Also where a page is not served by https. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
