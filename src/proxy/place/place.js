// Asks for the viewer's own place with the login that Jellyfin's web client keeps in this browser.
"use strict";
(() => {
  const say = document.getElementById("say");
  const list = document.getElementById("list");
  const span = (s) => (s < 100 ? `${s} s` : s < 6000 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`);
  // The web client may know other servers too: their logins are no business of this one.
  let own;
  const tokens = async () => {
    own ??= (await (await fetch("../System/Info/Public")).json()).Id;
    try {
      const servers = JSON.parse(localStorage.getItem("jellyfin_credentials") ?? "{}").Servers ?? [];
      return servers.filter((server) => server.Id === own).map((server) => server.AccessToken).filter(Boolean);
    } catch {
      return [];
    }
  };
  const line = (text, more) => {
    const item = document.createElement("li");
    item.textContent = text;
    const small = document.createElement("small");
    small.textContent = more;
    item.append(small);
    return item;
  };
  const show = (me) => {
    const waits = me.waiting.map((one) =>
      line(
        one.expected_s === null ? "How long it takes can't be told yet." : `Expected to begin in ${span(one.expected_s)}.`,
        `On ${one.client}: place ${one.place} of ${me.in_line}, waiting for ${span(one.waited_s)}`,
      ),
    );
    const plays = me.playing.map((one) => line(one.client, `${one.work.replace("->", "→")}, for ${span(one.since_s)}`));
    const text = me.waiting.length ? `You are number ${me.waiting[0].place} in the line.`
      : me.playing.length ? "You are watching." : me.paused ? "No new conversion begins just now." : "You wait for nothing.";
    if (say.textContent !== text) say.textContent = text;
    list.replaceChildren(...waits, ...plays);
  };
  const ask = async () => {
    if (document.hidden) return;
    let known;
    try {
      known = await tokens();
    } catch {
      say.textContent = "The server does not answer.";
      return;
    }
    for (const token of known) {
      try {
        const answer = await fetch("place.json", {
          cache: "no-store",
          headers: { Authorization: `MediaBrowser Token="${encodeURIComponent(token)}"` },
        });
        if (answer.ok) return show(await answer.json());
      } catch {
        say.textContent = "The server does not answer.";
        return;
      }
    }
    say.textContent = "Log in to Jellyfin in this browser first.";
    list.replaceChildren();
  };
  ask();
  setInterval(ask, 3000);
})();
