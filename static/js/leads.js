// The charts of how leads go: percent won by type and by tenth of the score. Data: #leads-data.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const source = document.getElementById("leads-data");
  if (!source || !window.echarts) return;
  const data = JSON.parse(source.textContent);
  for (const place of document.querySelectorAll("[data-chart]")) {
    const { names, won } = data[place.dataset.chart];
    const chart = echarts.init(place);
    chart.setOption({
      animation: false,
      color: ["#0b6b4f"],
      grid: { left: 8, right: 8, top: 24, bottom: 8, containLabel: true },
      xAxis: { type: "category", data: names, axisTick: { show: false }, axisLabel: { interval: 0, rotate: names.some((name) => name.length > 3) ? 40 : 0 } },
      yAxis: { type: "value", min: 0, axisLabel: { formatter: "{value}%" } },
      series: [{ type: "bar", data: won, barMaxWidth: 30, label: { show: true, position: "top", formatter: "{c}%" } }],
    });
    window.addEventListener("resize", () => chart.resize());
  }
});
