/** The story of a customer or a reservation in words. */

const LEVEL = {
  held: "good", extended: "", expired: "warn", cancelled: "warn", confirmed: "good", confirmed_late: "good", refunded: "warn",
  charge_refused: "bad", charge_refunded: "warn", payment_failed: "bad", payment_waiting: "",
};

/**
 * An instant with its milliseconds: who was first is sometimes a matter of few.
 * @param {any} context
 * @param {string} instant
 */
export function exactTime({ format }, instant) {
  const made = format.kept("exact", () => new Intl.DateTimeFormat(format.locale, {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
    hourCycle: "h23",
  }));
  return made.format(new Date(instant));
}

/** The words for a detail, if there are any; else the detail itself. */
function worded({ t, words }, code, detail) {
  if (!detail) return "";
  if (code === "charge_refused" && words.has(`reason.${detail}`)) return t(`reason.${detail}`);
  if (code === "cancelled" && words.has(`by.${detail}`)) return t(`by.${detail}`);
  if (code === "payment_waiting" && words.has(`pay.${detail}`)) return t(`pay.${detail}`);
  return detail;
}

/**
 * @typedef {{at: string | null, code: string, text: string, more: string, level: string, own: boolean}} Line
 * @param {any} context
 * @param {any} story  GET /v1/sales/{sale}/story
 * @returns {Line[]} in order of time, those without an instant last
 */
export function timeline(context, story) {
  const { t, words } = context;
  const lines = [];
  const many = story.reservations.length > 1;
  for (const entry of story.summary) {
    const { code, at, last_at: lastAt, count, place, reservation, detail } = entry;
    const known = words.has(`story.code.${code}`);
    const text = known ? t(`story.code.${code}`, { count: count ?? 1, place: place ?? 0 }) : code;
    const more = [worded(context, code, detail), lastAt && lastAt !== at ? t("story.until", { time: exactTime(context, lastAt) }) : "",
      many && reservation ? reservation : ""].filter(Boolean).join(" · ");
    const level = code.startsWith("refused_") || code === "never_seen" ? "bad" : LEVEL[code] || "";
    lines.push({ at, code, text, more, level, own: true });
  }
  const about = story.sale_history || {};
  const sale = (at, code, more = "", params = {}) => at && lines.push({ at, code, text: t(`story.sale.${code}`, params), more, level: "", own: false });
  sale(about.opened_at || about.opens_at, about.opened_at ? "opened" : "opens");
  sale(about.sold_out_at, "sold_out");
  for (const change of about.changes || []) {
    sale(change.at, change.type, change.detail || "", { count: change.units ?? 0, sku: change.sku ?? "" });
  }
  if (about.closed_at && !(about.changes || []).some((change) => change.type === "closed")) sale(about.closed_at, "closed");
  const time = (line) => (line.at ? Date.parse(line.at) : Infinity);
  return lines.map((line, index) => ({ line, index }))
    .sort((a, b) => (time(a.line) === time(b.line) ? a.index - b.index : time(a.line) - time(b.line))).map(({ line }) => line);
}

/**
 * The answer in one sentence: got it, or why not.
 * @param {any} context
 * @param {any} story
 * @returns {{level: string, text: string}}
 */
export function lead({ t, format }, story) {
  const found = story.reservations.map(({ reservation }) => reservation);
  const of = (status) => found.filter((one) => one.status === status);
  const places = (list) => list.map((one) => format.number(one.place)).join(", ");
  if (of("confirmed").length) return { level: "good", text: t("story.lead.confirmed", { count: of("confirmed").length, place: places(of("confirmed")) }) };
  if (of("held").length) return { level: "good", text: t("story.lead.held", { place: places(of("held")) }) };
  if (of("refunded").length) return { level: "warn", text: t("story.lead.refunded", { place: places(of("refunded")) }) };
  if (of("expired").length) return { level: "warn", text: t("story.lead.expired", { place: places(of("expired")) }) };
  if (of("cancelled").length) return { level: "warn", text: t("story.lead.cancelled", { place: places(of("cancelled")) }) };
  const attempts = story.attempts || [];
  if (attempts.length) {
    const outcomes = [...new Set(attempts.map(({ outcome }) => t(`outcome.${outcome}`)))];
    const times = attempts.reduce((sum, { count }) => sum + count, 0);
    return { level: "bad", text: t("story.lead.refused", { count: times, why: new Intl.ListFormat(format.locale, { type: "conjunction" }).format(outcomes) }) };
  }
  return { level: "warn", text: t("story.lead.never") };
}

/**
 * The whole story as plain text, for a letter or a ticket. Instants are those of the server, in UTC.
 * @param {any} context
 * @param {any} story
 */
export function storyText(context, story) {
  const { t } = context;
  const who = story.customer ? t("story.of_customer", { customer: story.customer }) : t("story.of_reservation", { reservation: story.reservation });
  const lines = timeline(context, story).map((line) => [line.at || "—", line.text, line.more && `(${line.more})`].filter(Boolean).join("  "));
  const facts = story.facts.map((fact) => `${fact.at}  #${fact.seq}  ${fact.type}  ${fact.reservation}  ${JSON.stringify(fact.detail)}`);
  return [`${story.sale}: ${who}`, lead(context, story).text, t("story.as_of", { time: story.server_time }), "", ...lines, "",
    t("story.facts", { count: facts.length }), ...facts].join("\n");
}
