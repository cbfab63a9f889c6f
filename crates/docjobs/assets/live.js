// Keeps a page up to date: after each event the server renders the same page again, and the marked parts are exchanged.
(() => {
  "use strict";
  const parts = () => document.querySelectorAll("[data-live][id]");
  if (!window.EventSource || parts().length === 0) return;
  let waiting = false;
  let last = 0;
  const refresh = async () => {
    waiting = false;
    last = Date.now();
    let response;
    try {
      response = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
    } catch {
      return;
    }
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of parts()) {
      const next = fresh.getElementById(part.id);
      // Whoever types or moves by keyboard in a part keeps it as it is.
      if (next && !part.contains(document.activeElement) && part.innerHTML !== next.innerHTML) {
        part.replaceChildren(...next.childNodes);
      }
    }
  };
  const soon = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(refresh, Math.max(100, 1000 - (Date.now() - last)));
  };
  const events = new EventSource("/v1/events");
  events.onmessage = soon;
  // What happened after the page was made and before the stream began.
  events.onopen = soon;
  addEventListener("pagehide", () => events.close());
})();
