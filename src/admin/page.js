// Takes the parts of the page as they change, and counts the spans of time in between.
"use strict";
(() => {
  const main = document.getElementById("live");
  const stale = document.getElementById("stale");
  const news = document.getElementById("news");
  /** Seconds that the clock here is behind the server's. */
  let behind = Number(main.dataset.now) - Date.now() / 1000;

  /** As the server writes a span. */
  const span = (seconds) => {
    const s = Math.max(0, Math.floor(seconds));
    if (s < 100) return `${s} s`;
    if (s < 6000) return `${Math.floor(s / 60)} min`;
    return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}`;
  };
  const write = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  const count = () => {
    const now = Date.now() / 1000 + behind;
    for (const element of document.querySelectorAll("span[data-at]")) {
      const at = Number(element.dataset.at);
      const kind = element.dataset.as;
      write(element, kind === "in" ? span(at - now) : kind === "ago" ? `${span(now - at)} ago` : span(now - at));
    }
  };

  /** Makes `old` like `fresh`, and touches nothing that is like it already: what is open, focused or typed stays. */
  const morph = (old, fresh) => {
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) old.removeAttribute(name);
    }
    // Its text is counted here.
    if (fresh.dataset && "at" in fresh.dataset) return;
    children(old, fresh);
  };
  const like = (a, b) =>
    a.nodeType === b.nodeType && (a.nodeType !== Node.ELEMENT_NODE || (a.localName === b.localName && a.id === b.id));
  const children = (old, fresh) => {
    let at = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      let found = at;
      if (wanted.id) while (found && found.id !== wanted.id) found = found.nextSibling;
      else if (wanted.nodeType === Node.ELEMENT_NODE) while (found?.nodeType === Node.TEXT_NODE) found = found.nextSibling;
      if (found && like(found, wanted)) {
        // What stands before a row that stays has gone.
        while (at !== found) {
          const gone = at;
          at = at.nextSibling;
          gone.remove();
        }
        morph(found, wanted);
        at = found.nextSibling;
      } else {
        old.insertBefore(wanted, at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  };

  let told = "";
  let toldAt = 0;
  /** Says what has changed to who hears the page: only that, and not often. */
  const tell = () => {
    const text = document.querySelector("[data-news]")?.dataset.news ?? "";
    if (text === told || Date.now() - toldAt < 15000) return;
    if (told) write(news, text);
    told = text;
    toldAt = Date.now();
  };

  const take = (event) => {
    const frame = JSON.parse(event.data);
    behind = frame.now - Date.now() / 1000;
    for (const [name, markup] of Object.entries(frame.parts)) {
      const part = document.querySelector(`[data-part="${name}"]`);
      if (!part) continue;
      const fresh = document.createElement("template");
      fresh.innerHTML = markup;
      children(part, fresh.content);
    }
    count();
    tell();
    document.documentElement.dataset.frames = String(Number(document.documentElement.dataset.frames ?? 0) + 1);
  };

  let source = null;
  let late = 0;
  const away = () => {
    clearTimeout(late);
    late = setTimeout(() => { stale.hidden = false; }, 4000);
  };
  const here = () => {
    clearTimeout(late);
    stale.hidden = true;
  };
  const listen = () => {
    if (source && source.readyState !== EventSource.CLOSED) return;
    source = new EventSource("events");
    source.onopen = here;
    source.onmessage = take;
    // The session has ended: what may still be seen is another page.
    source.addEventListener("over", () => {
      source.close();
      // The page that ended it is on its way to another by then.
      setTimeout(() => location.reload(), 500);
    });
    source.onerror = () => {
      away();
      // Refused, not lost: the browser does not come back by itself.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
    };
  };
  // A page that nobody looks at costs nothing.
  let hidden = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) {
      hidden = setTimeout(() => source?.close(), 30000);
    } else {
      listen();
    }
  });
  // One menu is open at a time, and Escape closes it.
  const close = (but) => {
    for (const open of document.querySelectorAll("details.more[open]")) if (open !== but) open.open = false;
  };
  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.("details.more") && event.target.open) close(event.target);
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const open = document.querySelector("details.more[open]");
    close(null);
    open?.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("details.more")) close(null);
  });

  told = document.querySelector("[data-news]")?.dataset.news ?? "";
  setInterval(count, 1000);
  if (!document.hidden) listen();
})();
