/** The sell-out curve: where the units were at every moment of the sale. */

import { h, replace, setText } from "../common/dom.js";
import { colour, panelChart } from "./charts.js";
import { table } from "./parts.js";

const ROWS = 20;
const TAIL = 0.03; // of the curve: what has come of the last change is seen for so long
const TAIL_MS = 1000; // at least
const KINDS = ["sold", "held", "available"];

/**
 * @param {any} context
 * @returns {{node: HTMLElement, start: () => void, stop: () => void, update: (curve: any, sale: any) => void}}
 */
export function curvePanel(context) {
  const { t, format } = context;
  const canvas = h("canvas", { role: "img", "aria-label": t("curve.title"), "data-curve": true });
  const box = h("div.canvas", null, canvas);
  const empty = h("p.fs-soft", null, t("curve.none"));
  const legend = h("ul.keys", null, KINDS.map((kind) => h("li", null, h(`span.key.${kind}`, { "aria-hidden": "true" }), t(`units.${kind}`))));
  const select = h("select.fs-input", { id: "curve-item" });
  const choice = h("div.fs-field.inline", { hidden: true }, h("label", { for: "curve-item" }, t("curve.item")), select);
  const note = h("p.fs-soft.fs-small", { hidden: true });
  const rows = h("div");
  const details = h("details", null, h("summary", null, t("as_table")), rows);
  const node = h("section.fs-card.panel.wide", { "aria-labelledby": "curve-title", "data-panel": "curve" },
    h("div.panel-head", null, h("h2", { id: "curve-title" }, t("curve.title")), choice), legend, empty, box, note, details);
  let seen = null;
  let items = "";

  const points = () => {
    if (!seen) return [];
    return seen.points.map(({ at, items: parts }) => {
      const sum = { at: Date.parse(at), available: 0, held: 0, sold: 0 };
      for (const [sku, part] of Object.entries(parts)) {
        if (select.value && select.value !== sku) continue;
        for (const kind of KINDS) sum[kind] += part[kind];
      }
      return sum;
    }).filter((point, index, all) => point.at !== all[index + 1]?.at); // of one instant what was last
  };
  const time = (ms) => {
    const wide = seen?.from && Date.parse(seen.to) - Date.parse(seen.from) > 86_400_000;
    return wide ? format.dateTime(ms) : format.time(ms);
  };
  const draw = () => {
    const all = points();
    const some = all.length > 0;
    box.hidden = details.hidden = legend.hidden = !some;
    empty.hidden = some;
    if (!some) return;
    const last = all[all.length - 1];
    canvas.setAttribute("aria-label", t("curve.label", {
      from: time(all[0].at), to: time(last.at), sold: last.sold, held: last.held, available: last.available }));
    note.hidden = seen.complete !== false;
    setText(note, t("curve.incomplete"));
    const tail = last.at + Math.max(TAIL_MS, (last.at - all[0].at) * TAIL);
    const end = Math.max(last.at, Math.min(tail, context.app.clock.now()));
    chart.update(KINDS.map((kind) => [...all, { ...last, at: end }].map((point) => ({ x: point.at, y: point[kind] }))), { min: all[0].at, max: end });
    if (details.open) replace(rows, rowsOf(all));
  };
  const rowsOf = (all) => {
    const step = Math.max(1, Math.ceil(all.length / ROWS));
    const chosen = all.filter((_, index) => index % step === 0 || index === all.length - 1);
    return table(t("curve.title"), [t("time"), ...KINDS.map((kind) => t(`units.${kind}`))],
      chosen.map((point) => [time(point.at), ...KINDS.map((kind) => format.number(point[kind]))]), { hidden: true });
  };
  select.addEventListener("change", draw);
  details.addEventListener("toggle", draw);
  const datasets = () => KINDS.map((kind) => ({
    label: t(`units.${kind}`), data: [], stepped: "before", fill: kind === "sold" ? "origin" : "-1", pointRadius: 0, borderWidth: 1.5,
    borderColor: colour(`--fc-${kind}-line`), backgroundColor: colour(`--fc-${kind}`),
  }));
  const chart = panelChart(canvas, { format, stacked: true, datasets, time }, draw);
  return {
    node,
    start: () => {
      box.hidden = true;
      return chart.start();
    },
    stop: chart.stop,
    update: (curve, sale) => {
      seen = curve;
      const key = JSON.stringify(sale.items.map(({ sku, title }) => [sku, title]));
      if (key !== items) {
        items = key;
        choice.hidden = sale.items.length < 2;
        const before = select.value;
        replace(select, h("option", { value: "" }, t("curve.all_items")), sale.items.map((item) => h("option", { value: item.sku }, item.title)));
        select.value = before;
      }
      draw();
    },
  };
}
