// A form with large files: how much of them is sent, until the page that answers takes its place.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form[data-sending]");
  const bar = form?.querySelector("progress");
  if (!bar) return;
  const said = form.querySelector("[data-sent]");
  const MEGA = 1024 * 1024;
  const mega = (bytes) => (bytes / MEGA).toFixed(1);

  function end(words) {
    form.querySelector("button[type=submit]").disabled = false;
    bar.hidden = true;
    said.textContent = words;
  }

  // The answer is the next page, or this one with what is wrong: then the chosen files stay chosen.
  function answered(request) {
    if (request.responseURL && new URL(request.responseURL).pathname !== location.pathname) {
      location.href = request.responseURL;
      return;
    }
    const answer = new DOMParser().parseFromString(request.responseText, "text/html");
    const faults = answer.querySelectorAll("form[data-sending] .desk-problem");
    for (const old of form.querySelectorAll(".desk-problem")) old.remove();
    form.prepend(...faults);
    end(faults.length ? "" : form.dataset.broken);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const request = new XMLHttpRequest();
    const stop = () => end(form.dataset.broken);
    form.querySelector("button[type=submit]").disabled = true;
    bar.hidden = false;
    request.upload.addEventListener("progress", (sent) => {
      bar.max = sent.total;
      bar.value = sent.loaded;
      said.textContent = `${mega(sent.loaded)} / ${mega(sent.total)} MB`;
    });
    request.addEventListener("load", () => answered(request));
    request.addEventListener("error", stop);
    request.addEventListener("abort", stop);
    request.open("POST", form.action || location.href);
    request.send(new FormData(form));
  });
});
