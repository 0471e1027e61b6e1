// The chart of the relations page: sales a day of members who had a clerk, and of those who had none, in yuan.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("relations-chart");
  const source = document.getElementById("relations-data");
  if (!place || !source || !window.echarts) return;
  const data = JSON.parse(source.textContent);
  const figures = { notation: "compact", maximumFractionDigits: 1 };
  const short = new Intl.NumberFormat(document.documentElement.lang, figures).format;
  const bars = (name) => ({ name: data.labels[name], type: "bar", stack: "sales", data: data[name], barMaxWidth: 22 });
  const chart = echarts.init(place);
  chart.setOption({
    animation: false,
    color: ["#86c5a5", "#cbd5e1"],
    grid: { left: 8, right: 8, top: 16, bottom: 8, containLabel: true },
    xAxis: { type: "category", data: data.days, axisTick: { show: false } },
    yAxis: { type: "value", axisLabel: { formatter: short } },
    series: [bars("bound"), bars("loose")],
  });
  window.addEventListener("resize", () => chart.resize());
});
