// What a reload does not do: live rows in the list, news in the queue and its keys, a load page that reads itself anew.
// Rows come from the server as markup that its templates have escaped; everything else is set as text.
"use strict";

const $ = (id) => document.getElementById(id);
const say = (text, link) => {
  const at = $("status");
  at.textContent = text;
  if (link) {
    const a = document.createElement("a");
    a.href = location.href;
    a.textContent = link;
    at.append(" ", a);
  }
};

// The list.

const live = $("live");
if (live) {
  const body = $("traces").tBodies[0];
  const most = Number($("traces").dataset.most);
  const waiting = new Map(); // what came while paused, by ID; null for a row that goes
  let paused = false, fresh = 0, missed = false, lost = false, full = false, told = 0;
  live.hidden = false;

  const put = (id, row) => {
    const old = body.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
    if (!row) { old?.remove(); return; }
    if (old) {
      const focused = old.contains(document.activeElement);
      old.replaceWith(row);
      if (focused) row.querySelector("a")?.focus();
      return;
    }
    const seq = Number(row.dataset.seq);
    const next = [...body.rows].find((r) => Number(r.dataset.seq) < seq);
    if (!next && body.rows.length >= most) return;
    body.insertBefore(row, next ?? null);
    row.classList.add("new");
    fresh++;
    while (body.rows.length > most) body.lastElementChild.remove();
    $("none")?.remove();
  };
  const news = () => {
    if (lost || missed) return say(lost ? "The connection was lost for a while; some traces are not here." : "Some traces are not here.", "Reload");
    if (paused) return say(waiting.size ? `Paused; ${full ? "more than " : ""}${waiting.size} changed.` : "Paused.");
    const now = Date.now();
    if (fresh && now - told < 3000) return; // a screen reader must be able to keep up
    if (fresh) { say(`${fresh} new ${fresh === 1 ? "trace" : "traces"}.`); fresh = 0; told = now; }
  };
  setInterval(news, 1000);
  const take = (id, row) => {
    if (!paused) return put(id, row);
    if (waiting.size >= 500 && !waiting.has(id)) { full = true; return; }
    waiting.set(id, row);
  };

  const source = new EventSource(live.dataset.stream);
  source.addEventListener("rows", (e) => {
    const t = document.createElement("template");
    t.innerHTML = e.data;
    for (const row of [...t.content.children]) take(row.dataset.id, row);
    news();
  });
  source.addEventListener("away", (e) => e.data.split("\n").forEach((id) => take(id, null)));
  source.addEventListener("missed", () => { missed = true; news(); });
  let opened = false;
  source.onopen = () => { if (opened) lost = true; opened = true; say("Live."); live.dataset.open = ""; };
  source.onerror = () => {
    delete live.dataset.open;
    if (source.readyState === EventSource.CLOSED) say("No live updates: too many pages are live, or you are logged out.", "Reload");
    else say("The connection is lost; trying again.");
  };
  $("pause").addEventListener("click", (e) => {
    paused = !paused;
    e.target.textContent = paused ? "Resume" : "Pause";
    e.target.setAttribute("aria-pressed", String(paused));
    if (!paused) {
      for (const [id, row] of waiting) put(id, row);
      waiting.clear();
      missed ||= full;
      full = false;
      say("Live.");
    }
    news();
  });
}

// The queue.

const heldNews = $("held-news");
if (heldNews) {
  const here = new Set([...document.querySelectorAll(".item")].map((i) => i.dataset.id));
  const came = new Set();
  const source = new EventSource(heldNews.dataset.stream);
  source.addEventListener("rows", (e) => {
    const t = document.createElement("template");
    t.innerHTML = e.data;
    for (const row of t.content.children) if (!here.has(row.dataset.id)) came.add(row.dataset.id);
    tell();
  });
  source.addEventListener("away", (e) => { e.data.split("\n").forEach((id) => came.delete(id)); tell(); });
  const tell = () => {
    heldNews.hidden = came.size === 0;
    const at = heldNews.firstElementChild;
    at.textContent = came.size === 1 ? "1 more answer waits. " : `${came.size} more answers wait. `;
    const a = document.createElement("a");
    a.href = "/held";
    a.textContent = "Reload";
    at.append(a);
  };
}

const items = [...document.querySelectorAll(".item")];
if ($("keys") && items.length) {
  $("keys").hidden = false;
  let at = -1;
  const go = (i) => {
    at = Math.max(0, Math.min(items.length - 1, i));
    items[at].focus();
    items[at].scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    const typing = e.target.matches("input, textarea, select");
    const own = items.findIndex((i) => i.contains(document.activeElement));
    if (own >= 0) at = own;
    if (typing) {
      if (e.key === "Escape" && at >= 0) go(at);
      return;
    }
    const form = (name) => items[Math.max(at, 0)].querySelector(`form.${name} input[name=why]`)?.focus();
    switch (e.key) {
      case "j": go(at + 1); break;
      case "k": go(at - 1); break;
      case "a": form("approve"); break;
      case "r": form("reject"); break;
      default: return;
    }
    e.preventDefault();
  });
}
// A form is sent once, however often Enter is pressed.
for (const form of document.querySelectorAll(".decide form")) {
  form.addEventListener("submit", (e) => {
    if (form.dataset.sent) e.preventDefault();
    form.dataset.sent = "1";
  });
}

// The load.

const reload = $("reload");
if (reload) {
  reload.hidden = false;
  let paused = false;
  $("pause").addEventListener("click", (e) => {
    paused = !paused;
    e.target.textContent = paused ? "Resume" : "Pause";
    e.target.setAttribute("aria-pressed", String(paused));
  });
  setInterval(async () => {
    if (paused || document.hidden || $("refresh").contains(document.activeElement)) return;
    try {
      // Accept says that nobody did anything: a page that is open is not a session that is used.
      const answer = await fetch(location.href, { redirect: "error", headers: { Accept: "text/event-stream" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("refresh");
      $("refresh").replaceWith(next);
      say("The page reads itself anew every two seconds.");
    } catch {
      say("The gateway does not answer; these are the last numbers it gave.");
    }
  }, 2000);
}
