// The chart of the admin's first page: bars of net sales, a line of commission. Data: #dashboard-data (yuan per day).
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("dashboard-chart");
  const source = document.getElementById("dashboard-data");
  if (!place || !source || !window.echarts) return;
  const data = JSON.parse(source.textContent);
  // In the unit of the language: 1.2万, 12K.
  const figures = { notation: "compact", maximumFractionDigits: 1 };
  const short = new Intl.NumberFormat(document.documentElement.lang, figures).format;
  const axis = (position) => ({
    type: "value",
    position,
    axisLabel: { formatter: short },
    splitLine: { show: position === "left" },
  });
  const chart = echarts.init(place);
  chart.setOption({
    animation: false,
    color: ["#86c5a5", "#d97706"],
    grid: { left: 8, right: 8, top: 16, bottom: 8, containLabel: true },
    xAxis: { type: "category", data: data.days, axisTick: { show: false } },
    yAxis: [axis("left"), axis("right")],
    series: [
      { name: data.labels.sales, type: "bar", data: data.sales, barMaxWidth: 22 },
      { name: data.labels.commission, type: "line", yAxisIndex: 1, data: data.commission, symbolSize: 4 },
    ],
  });
  window.addEventListener("resize", () => chart.resize());
});
