/** Answers to reserve requests: how many a second of each outcome, over the last minutes. */

import { h, setText } from "../common/dom.js";
import { colour, panelChart } from "./charts.js";

const KEPT_MS = 5 * 60_000;
const MEAN_MS = 5000;
const SHOWN = ["held", "sold_out", "limit_reached", "not_open", "busy", "other"];
const DASHES = { held: [], sold_out: [6, 3], limit_reached: [2, 3], not_open: [10, 4], busy: [4, 2, 1, 2], other: [1, 4] };

const TINTS = Object.fromEntries(SHOWN.map((name) => [name, name === "held" ? "--fc-sold-line" : `--fc-${name}`]));

/** The totals as the panel tells them apart. */
function grouped(totals) {
  const sums = Object.fromEntries(SHOWN.map((name) => [name, 0]));
  for (const [name, value] of Object.entries(totals)) sums[SHOWN.includes(name) ? name : "other"] += value;
  return sums;
}

/**
 * @param {any} context
 */
export function answersPanel(context) {
  const { t, format } = context;
  const samples = []; // {at, totals}
  const rates = []; // {at, each outcome a second}
  const canvas = h("canvas", { role: "img", "aria-label": t("answers.title"), "data-answers": true });
  const cells = Object.fromEntries(SHOWN.map((name) => [name, { now: h("td.fs-numbers"), all: h("td.fs-numbers") }]));
  const body = SHOWN.map((name) => h("tr", { "data-outcome": name },
    h("th", { scope: "row" }, h(`span.line-key.${name}`, { "aria-hidden": "true" }), t(`outcome.${name}`)), cells[name].now, cells[name].all));
  const node = h("section.fs-card.panel", { "aria-labelledby": "answers-title", "data-panel": "answers" },
    h("div.panel-head", null, h("h2", { id: "answers-title" }, t("answers.title"))),
    h("p.fs-soft.fs-small", null, t("answers.text")),
    h("div.canvas.low", null, canvas),
    h("table.plain", null, h("caption.fs-hidden", null, t("answers.title")),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, t("answers.outcome")), h("th", { scope: "col" }, t("answers.per_second")), h("th", { scope: "col" }, t("answers.total")))),
      h("tbody", null, body)));
  const datasets = () => SHOWN.map((name) => ({
    label: t(`outcome.${name}`), data: [], pointRadius: 0, borderWidth: 2, tension: 0,
    borderDash: DASHES[name], borderColor: colour(TINTS[name]), backgroundColor: colour(TINTS[name]),
  }));

  const take = (at, totals) => {
    const sample = { at, totals: grouped(totals) };
    const before = samples[samples.length - 1];
    if (before && at <= before.at) return;
    // Totals that went back: a worker has begun anew, and nothing can be said about the time in between.
    const anew = before && SHOWN.some((name) => sample.totals[name] < before.totals[name]);
    if (anew) samples.length = 0;
    samples.push(sample);
    const from = samples.find((one) => one.at >= at - MEAN_MS) || before;
    if (before && !anew && from !== sample) {
      const seconds = (at - from.at) / 1000;
      rates.push({ at, ...Object.fromEntries(SHOWN.map((name) => [name, (sample.totals[name] - from.totals[name]) / seconds])) });
    }
    while (samples.length && samples[0].at < at - 2 * MEAN_MS && samples.length > 2) samples.shift();
    while (rates.length && rates[0].at < at - KEPT_MS) rates.shift();
  };
  const draw = () => {
    const last = rates[rates.length - 1];
    const totals = samples[samples.length - 1]?.totals;
    for (const name of SHOWN) {
      setText(cells[name].now, last ? format.number(Math.round(last[name] * 10) / 10) : "–");
      setText(cells[name].all, totals ? format.number(totals[name]) : "–");
    }
    if (!last) return;
    canvas.setAttribute("aria-label", t("answers.label", { held: cells.held.now.textContent, sold_out: cells.sold_out.now.textContent }));
    const at = last.at;
    chart.update(SHOWN.map((name) => rates.map((rate) => ({ x: rate.at, y: rate[name] }))), { min: Math.min(at - 60_000, rates[0].at), max: at });
  };
  const chart = panelChart(canvas, { format, datasets, time: (ms) => format.time(ms) }, draw);
  return {
    node,
    start: chart.start,
    stop: chart.stop,
    update: (activity) => {
      take(Date.parse(activity.server_time), activity.reserve || {});
      draw();
    },
  };
}
