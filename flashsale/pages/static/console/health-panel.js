/** How the machinery behind a sale is, each part with a sign: icon and word. */

import { h, replace, setText } from "../common/dom.js";
import { sign } from "./parts.js";

const PATIENT_S = 30; // a payment that has waited longer is worth a look
const LONG_S = 300;
const LATE_S = 5; // holds are swept every second
const VERY_LATE_S = 30;
const MANY_WAITING = 2000;
const MANY_BEHIND = 100;

/**
 * What there is to say of each part.
 * @param {any} context
 * @param {any} activity  GET /v1/sales/{sale}/activity
 * @param {string} state  of the sale
 * @returns {{name: string, level: "good" | "warn" | "bad" | "none", text: string}[]}
 */
export function health({ t, format }, activity, state) {
  const seconds = (value) => format.duration(Math.max(0, value || 0) * 1000, "short");
  const { payments, sweeper, background, orders, workers, waiting } = activity;
  const found = [];
  const add = (name, level, text) => found.push({ name, level, text });

  add("api", waiting > MANY_WAITING ? "warn" : "good", t("health.api", { workers: workers.api, waiting }));
  if (background.alive === true) add("background", "good", t("health.background.alive", { time: seconds(background.seen_seconds) }));
  else if (background.alive === false) add("background", "bad", t("health.background.dead", { time: seconds(background.seen_seconds) }));
  else add("background", state === "scheduled" ? "none" : "warn", t("health.background.never"));

  const late = sweeper.overdue_seconds || 0;
  if (!sweeper.overdue) add("sweeper", "good", t("health.sweeper.good"));
  else add("sweeper", late > VERY_LATE_S ? "bad" : late > LATE_S ? "warn" : "good", t("health.sweeper.late", { count: sweeper.overdue, time: seconds(late) }));

  const waits = payments.oldest_seconds || 0;
  const queue = t("health.payments", { queued: payments.queued, under_way: payments.under_way, retrying: payments.retrying || 0 });
  const oldest = payments.oldest_seconds === null || payments.oldest_seconds === undefined ? "" : t("health.payments.oldest", { time: seconds(waits) });
  if (payments.dead) add("payments", "bad", [t("health.payments.dead", { count: payments.dead }), queue].join(" "));
  else add("payments", waits > LONG_S ? "bad" : waits > PATIENT_S || payments.retrying ? "warn" : "good", [queue, oldest].filter(Boolean).join(" "));

  if (orders) {
    const text = t("health.orders", { sequence: orders.sequence, published: orders.published });
    const behind = orders.behind ? t("health.orders.behind", { count: orders.behind }) : "";
    add("orders", orders.behind > MANY_BEHIND ? "warn" : "good", [text, behind].filter(Boolean).join(" "));
  }
  if (activity.attempts_dropped) add("attempts", "warn", t("health.attempts", { count: activity.attempts_dropped }));
  return found;
}

/**
 * One webhook in words.
 * @param {any} context
 * @param {any} hook
 */
function webhook({ t, format }, hook) {
  const behind = hook.behind ? t("health.orders.behind", { count: hook.behind }) : t("webhook.up_to_date");
  if (hook.state === "off") {
    return { level: "bad", text: [hook.reason === "gone" ? t("webhook.gone") : t("webhook.off"), behind].join(" ") };
  }
  if (hook.failing_since) {
    const text = t("webhook.failing", { since: format.dateTime(hook.failing_since), count: hook.tries || 1 });
    return { level: "warn", text: [text, hook.error, behind].filter(Boolean).join(" · ") };
  }
  return { level: "good", text: behind };
}

/** @param {any} context */
export function healthPanel(context) {
  const { t } = context;
  const list = h("ul.health");
  const hooks = h("ul.health");
  const none = h("p.fs-soft", { hidden: true }, t("webhook.none"));
  const node = h("section.fs-card.panel", { "aria-labelledby": "health-title", "data-panel": "health" },
    h("div.panel-head", null, h("h2", { id: "health-title" }, t("health.title"))), list,
    h("h3", null, t("webhook.title")), none, hooks);
  const rows = new Map();
  const row = (into, key, name, { level, text }) => {
    let known = rows.get(key);
    if (!known) {
      known = { level: "", mark: h("span"), text: h("p"), node: null };
      known.node = h("li", { "data-health": key }, h("div.health-head", null, h("b", null, name), known.mark), known.text);
      rows.set(key, known);
      into.append(known.node);
    }
    if (known.level !== level) {
      replace(known.mark, sign(context, level));
      known.level = level;
    }
    setText(known.text, text);
    return key;
  };
  return {
    node,
    update: (activity, state) => {
      const seen = new Set();
      for (const part of health(context, activity, state)) seen.add(row(list, part.name, t(`health.name.${part.name}`), part));
      for (const hook of activity.webhooks || []) seen.add(row(hooks, `webhook ${hook.id}`, hook.url, webhook(context, hook)));
      none.hidden = (activity.webhooks || []).length > 0;
      for (const [key, known] of rows) {
        if (seen.has(key)) continue;
        known.node.remove();
        rows.delete(key);
      }
    },
  };
}
