/** Drawings by Chart.js, which is loaded when one is first shown. Each has a table beside it that says the same. */

let loading = null;

/** Chart.js from this server, once. */
export function loadChart() {
  loading ||= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("../vendor/chart.js", import.meta.url).href;
    script.onload = () => resolve(globalThis.Chart);
    script.onerror = () => {
      loading = null;
      script.remove();
      reject(new Error("the charts could not be loaded"));
    };
    document.head.append(script);
  });
  return loading;
}

/** As many marks as there is room for, from one end to the other. */
function evenly(axis) {
  const parts = Math.max(1, Math.min(5, Math.floor(axis.chart.width / 130)));
  axis.ticks = Array.from({ length: parts + 1 }, (_, index) => ({ value: axis.min + ((axis.max - axis.min) * index) / parts }));
}

/**
 * A colour of the theme.
 * @param {string} name  such as `--fs-text`
 */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/**
 * A chart over time that is drawn anew when the theme changes.
 * @param {HTMLCanvasElement} canvas
 * @param {{format: any, stacked?: boolean, datasets: () => any[], time: (ms: number) => string}} options  `datasets` are asked
 *   for anew with each theme
 */
async function timeChart(canvas, { format, stacked = false, datasets, time }) {
  const Chart = await loadChart();
  if (!canvas.isConnected) return null;
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const make = () => {
    const [soft, line, font] = [colour("--fs-soft"), colour("--fs-line"), colour("--fs-font")];
    const ticks = { color: soft, font: { family: font, size: 12 } };
    return new Chart(canvas, {
      type: "line",
      data: { datasets: datasets() },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: true,
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: {
          x: { type: "linear", bounds: "data", afterBuildTicks: evenly, ticks: { ...ticks, maxRotation: 0, autoSkip: false, callback: (value) => time(Number(value)) }, grid: { color: line, drawTicks: true } },
          y: { beginAtZero: true, stacked, ticks: { ...ticks, precision: 0, maxTicksLimit: 6, callback: (value) => format.number(Number(value)) }, grid: { color: line } },
        },
        plugins: {
          legend: { display: false },
          tooltip: { callbacks: { title: (items) => time(items[0]?.parsed.x), label: (item) => ` ${item.dataset.label}: ${format.number(Math.round(item.parsed.y * 10) / 10)}` }, animation: calm.matches ? false : undefined },
        },
      },
    });
  };
  let chart = make();
  const anew = () => {
    const kept = chart.data.datasets.map(({ data }) => data);
    chart.destroy();
    chart = make();
    chart.data.datasets.forEach((set, index) => {
      set.data = kept[index] || [];
    });
    chart.update("none");
  };
  dark.addEventListener("change", anew);
  return {
    /** @param {{x: number, y: number}[][]} data  of each data set */
    update: (data, bounds = {}) => {
      chart.data.datasets.forEach((set, index) => {
        set.data = data[index] || [];
      });
      Object.assign(chart.options.scales.x, { min: bounds.min, max: bounds.max });
      chart.update("none");
    },
    destroy: () => {
      dark.removeEventListener("change", anew);
      chart.destroy();
    },
  };
}

/**
 * A chart of a panel, between the panel's start and its stop.
 * @param {HTMLCanvasElement} canvas
 * @param {any} options  as of `timeChart`
 * @param {() => void} draw  is called once there is a chart, or when there will be none
 */
export function panelChart(canvas, options, draw) {
  let chart = null;
  let stopped = false;
  return {
    start: async () => {
      chart = await timeChart(canvas, options).catch(() => null);
      if (stopped) chart?.destroy();
      else draw();
    },
    stop: () => {
      stopped = true;
      chart?.destroy();
      chart = null; // an answer may still be on its way to the panel
    },
    /** Nothing is drawn before the start and after the stop. */
    update: (data, bounds) => chart?.update(data, bounds),
  };
}
