// A dialog of the admin is sent once, however often its button is pressed: one whose answer leads elsewhere stays sent.
"use strict";

(() => {
  const dialogOf = (event) => event.target.closest?.("#dialog form");

  document.addEventListener("htmx:beforeRequest", (event) => {
    const form = dialogOf(event);
    if (!form) return;
    if ("sent" in form.dataset) event.preventDefault();
    else form.dataset.sent = "";
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const form = dialogOf(event);
    const leads = (name) => event.detail.xhr.getResponseHeader(name) !== null;
    if (form && !leads("HX-Redirect") && !leads("HX-Refresh")) delete form.dataset.sent;
  });
})();
