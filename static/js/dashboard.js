// The chart of the admin's first page: bars of net sales, a line of commission. Data: #dashboard-data (yuan per day).
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("dashboard-chart");
  const source = document.getElementById("dashboard-data");
  if (!place || !source || !window.echarts) return;
  const data = JSON.parse(source.textContent);
  const short = (yuan) => (Math.abs(yuan) >= 10000 ? `${+(yuan / 10000).toFixed(1)}${data.labels.wan}` : `${yuan}`);
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
