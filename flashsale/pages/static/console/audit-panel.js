/** The audit: the journal replayed against the counters, and the money against the orders. */

import { ApiError } from "../common/api.js";
import { announce, h, replace, setAttribute } from "../common/dom.js";
import { errorNote, icon, sign, table } from "./parts.js";

const TIMEOUT_MS = 120_000;
const MOST_FINDINGS = 100;

/**
 * @param {any} context
 * @param {string} sale
 */
export function auditPanel(context, sale) {
  const { app, t } = context;
  const out = h("div", { "data-audit": true });
  const button = h("button.fs-button", { type: "button", "data-action": "audit", onclick: () => run() }, t("audit.button"));
  const run = async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    setAttribute(button, "aria-disabled", "true");
    replace(out, h("p.fs-soft.waiting", { role: "status" }, h("span.fs-spinner", { "aria-hidden": "true" }), t("audit.running")));
    try {
      const report = await app.ask(app.sale(sale, "/audit"), { timeoutMs: TIMEOUT_MS });
      replace(out, verdict(context, report));
      announce(context.announcer, report.ok ? t("audit.ok") : t("audit.failed", { count: report.findings.length }));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      replace(out, errorNote(context, error));
    } finally {
      setAttribute(button, "aria-disabled", null);
    }
  };
  const node = h("section.fs-card.panel.wide", { "aria-labelledby": "audit-title", "data-panel": "audit" },
    h("div.panel-head", null, h("h2", { id: "audit-title" }, t("audit.title")), button),
    h("p.fs-soft.fs-small", null, t("audit.text")), out);
  return { node };
}

function verdict(context, report) {
  const { t, format } = context;
  const names = ["stock", "available", "held", "sold"];
  const money = report.money || [];
  const sum = (part, currency) => t("audit.sum", { count: part.count, amount: format.money(part.amount, currency) });
  const { findings } = report;
  return h("div.verdict", { "data-verdict": report.ok ? "ok" : "failed" },
    h(`div.fs-note.trouble.${report.ok ? "good" : "bad"}`, null, icon(report.ok ? "good" : "bad"),
      h("p", null, h("b", null, report.ok ? t("audit.ok") : t("audit.failed", { count: findings.length })), " ",
        t("audit.facts", { count: report.facts }), " ", t("audit.at", { time: format.dateTime(context.app.clock.now()) }))),
    findings.length > 0 && h("ol.findings", null, findings.slice(0, MOST_FINDINGS).map(({ seq, detail }) =>
      h("li", null, h("b", null, seq === null || seq === undefined ? t("audit.whole") : t("audit.fact", { seq })), " ", h("span", { lang: "en" }, detail)))),
    findings.length > MOST_FINDINGS && h("p", null, t("audit.more", { count: findings.length - MOST_FINDINGS })),
    table(t("audit.items"), [t("restock.item"), ...names.map((name) => t(`units.${name}`))],
      report.items.map((item) => [item.sku, ...names.map((name) => format.number(item[name]))])),
    h("dl.facts", null, [[t("audit.customers"), report.customers], [t("audit.last_place"), report.last_place],
      ...Object.entries(report.reservations).map(([status, count]) => [t("audit.reservations", { status: t(`status.${status}`) }), count])]
      .map(([name, value]) => h("div", null, h("dt", null, name), h("dd.fs-numbers", null, format.number(value))))),
    money.length > 0
      ? table(t("audit.money"), [t("audit.currency"), t("audit.charges"), t("audit.orders"), t("audit.refunds"), t("audit.refunding"), t("audit.adds_up")],
        money.map((line) => {
          const fits = line.charges.amount === line.orders.amount + line.refunds.amount + line.refunding.amount
            && line.charges.count === line.orders.count + line.refunds.count + line.refunding.count;
          return [line.currency, ...["charges", "orders", "refunds", "refunding"].map((name) => sum(line[name], line.currency)), sign(context, fits ? "good" : "bad")];
        }))
      : h("p.fs-soft", null, t("audit.no_money")),
    report.orders && h("p", null, t("health.orders", { sequence: report.orders.sequence, published: report.orders.published })),
    report.archive && h("p", null, t("audit.archive", { seq: report.archive.seq, behind: report.archive.behind })));
}
