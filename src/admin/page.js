// Fetches the part that changes every two seconds while the page is looked at.
"use strict";
const live = document.getElementById("live");
const stale = document.getElementById("stale");
let busy = false;
setInterval(async () => {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const answer = await fetch("fragment", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.statusText);
    live.innerHTML = await answer.text();
    stale.hidden = true;
  } catch {
    stale.hidden = false;
  } finally {
    busy = false;
  }
}, 2000);
