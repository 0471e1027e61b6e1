// The chart of 素材效果: links shared and people who opened them, and what they bought, by day.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("results-chart");
  const source = document.getElementById("results-data");
  if (!place || !source || !window.echarts) return;
  const data = JSON.parse(source.textContent);
  const figures = { notation: "compact", maximumFractionDigits: 1 };
  const short = new Intl.NumberFormat(document.documentElement.lang, figures).format;
  const chart = echarts.init(place);
  const value = { type: "value", minInterval: 1, axisLabel: { formatter: short }, splitLine: { show: false } };
  chart.setOption({
    animation: false,
    color: ["#cbd5e1", "#86c5a5", "#c2410c"],
    grid: { left: 8, right: 8, top: 16, bottom: 8, containLabel: true },
    xAxis: { type: "category", data: data.days, axisTick: { show: false } },
    yAxis: [value, { ...value, position: "right" }],
    series: [
      { name: data.labels.shares, type: "bar", data: data.shares, barMaxWidth: 14 },
      { name: data.labels.viewers, type: "bar", data: data.viewers, barMaxWidth: 14 },
      { name: data.labels.sales, type: "line", yAxisIndex: 1, data: data.sales, symbol: "none" },
    ],
  });
  window.addEventListener("resize", () => chart.resize());
});
