// Charts: ECharts as SVG, without animation, in the colours of the theme. The option stands in the JSON beside the canvas;
// the numbers also stand in the table below it, so a chart that fails to draw loses nothing.
(function () {
  "use strict";
  const source = document.currentScript.dataset.library;
  const palette = ["blue", "teal", "orange", "purple", "pink", "lime", "cyan", "red"];
  const charts = new Map();

  // ECharts needs plain colours; ours are light-dark() and oklch(), so let the browser compute and paint them.
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  function colour(expression, host) {
    const probe = host.appendChild(document.createElement("i"));
    probe.style.color = expression;
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = getComputedStyle(probe).color;
    pen.fillRect(0, 0, 1, 1);
    probe.remove();
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return `rgba(${r},${g},${b},${a / 255})`;
  }

  function theme(host) {
    const [ink, faint, line, surface] = ["ink", "ink-2", "line", "surface"].map((name) => colour(`var(--crm-${name})`, host));
    const text = { color: ink, fontFamily: getComputedStyle(document.body).fontFamily };
    const axis = {
      axisLine: { lineStyle: { color: line } }, axisTick: { show: false }, splitLine: { lineStyle: { color: line } },
      axisLabel: { color: faint }, nameTextStyle: { color: faint },
    };
    return {
      color: palette.map((name) => colour(`var(--crm-${name})`, host)),
      backgroundColor: "transparent",
      textStyle: text,
      legend: { textStyle: { color: faint }, icon: "roundRect", itemWidth: 10, itemHeight: 10, inactiveColor: line },
      categoryAxis: { ...axis, splitLine: { show: false } }, valueAxis: { ...axis, axisLine: { show: false } }, timeAxis: axis, logAxis: axis,
      line: { symbolSize: 6, lineStyle: { width: 2 } },
      bar: { itemStyle: { borderRadius: 3 }, barMaxWidth: 36 },
      pie: { itemStyle: { borderColor: surface, borderWidth: 2 }, label: { color: ink } },
      funnel: { itemStyle: { borderColor: surface, borderWidth: 2 }, label: { color: ink } },
      tooltip: { backgroundColor: surface, borderColor: line, textStyle: { color: ink } },
    };
  }

  // Numbers on an axis as the page's language writes them.
  const numbers = new Intl.NumberFormat(document.documentElement.lang || undefined, { maximumFractionDigits: 2 });
  function localised(axis) {
    if (!axis) return {};
    const write = (one) => (one.type === "value" ? { ...one, axisLabel: { formatter: (value) => numbers.format(value), ...one.axisLabel } } : one);
    return Array.isArray(axis) ? axis.map(write) : write(axis);
  }

  function draw(canvas) {
    charts.get(canvas)?.dispose();
    const option = JSON.parse(canvas.parentElement.querySelector('script[type="application/json"]').textContent);
    const chart = echarts.init(canvas, theme(canvas), { renderer: "svg" });
    // Tooltips as HTML would carry style attributes, which the content security policy refuses: rich text is drawn as SVG.
    const tooltip = option.tooltip === false ? { show: false } : { confine: true, ...option.tooltip, renderMode: "richText" };
    chart.setOption({ grid: { left: 8, right: 8, top: 32, bottom: 8, containLabel: true }, ...option, xAxis: localised(option.xAxis), yAxis: localised(option.yAxis), animation: false, tooltip });
    chart.on("click", (event) => { if (event.data?.url) location.assign(event.data.url); });
    charts.set(canvas, chart);
  }

  crm.each("[data-chart]", async (canvas) => {
    await crm.library(source);
    draw(canvas);
    new ResizeObserver(() => charts.get(canvas).resize()).observe(canvas);
  });
  document.addEventListener("crm:theme", () => [...charts.keys()].filter((canvas) => canvas.isConnected).forEach(draw));
})();
