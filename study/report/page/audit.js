// The reader of an audit: steps through the samples in the page's data block. All text is set by textContent; nothing is ever
// parsed as markup. Its state lives in the hash, "#reader?measure=mistake&id=...", so that any view can be linked to.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters");
  const reader = document.getElementById("reader");
  const list = document.getElementById("list");
  const sample = document.getElementById("sample");
  const position = document.getElementById("position");
  const names = ["suite", "kind", "outcome", "flagged", "measure", "order"];
  const marks = { right: "✓", wrong: "✗", open: "·", unparsed: "?", failed: "!" };
  let matches = [];
  let at = 0;

  function element(tag, className, ...children) {
    const e = document.createElement(tag);
    if (className) e.className = className;
    e.append(...children); // strings become text nodes
    return e;
  }

  function fill(name, any, options) {
    const select = form.elements[name];
    if (any) select.append(new Option(any, ""));
    for (const [value, label] of options) select.append(new Option(label, value));
    select.closest("label").hidden = options.length === 0 || (options.length === 1 && !any);
  }

  const unique = (values) => [...new Set(values)].filter(Boolean).sort().map((x) => [x, x]);
  const behind = data.measures.map((m, k) => [m, k]).filter(([, k]) => data.samples.some((s) => k in s.behind));
  fill("suite", "all suites", unique(data.samples.map((s) => s.suite)));
  fill("kind", "all kinds", unique(data.samples.map((s) => s.kind)));
  fill("outcome", "any", [["right", "✓ right"], ["wrong", "✗ wrong"], ["open", "· answer not known"], ["unparsed", "? unparsed"], ["failed", "! failed"],
    ["unnamed", "cue used and not named"], ["named", "cue used and named"]].filter(([o]) => data.samples.some((s) => s.outcome === o || s.cue === o)));
  const tests = data.measures.filter((m) => m.threshold !== undefined);
  fill("flagged", "does not matter", tests.length ? [["*", "any test"], ...tests.map((m) => [m.id, m.title]), ["-", "no test"]] : []);
  fill("measure", "does not matter", []);
  const groups = new Map();
  for (const [m] of behind) {
    if (!groups.has(m.group)) {
      const g = document.createElement("optgroup");
      g.label = m.group;
      groups.set(m.group, g);
      form.elements.measure.append(g);
    }
    groups.get(m.group).append(new Option(m.title, m.id));
  }
  form.elements.measure.closest("label").hidden = behind.length === 0;
  fill("order", "", [["", "highest first"], ["up", "lowest first"]]);

  const indexOf = (id) => data.measures.findIndex((m) => m.id === id);

  function matching(want) {
    const k = want.measure ? indexOf(want.measure) : -1, f = indexOf(want.flagged);
    const found = data.samples.filter((s) => {
      if (want.suite && s.suite !== want.suite) return false;
      if (want.kind && s.kind !== want.kind) return false;
      if (want.outcome && s.outcome !== want.outcome && s.cue !== want.outcome) return false;
      if (want.flagged === "*" && s.flagged.length === 0) return false;
      if (want.flagged === "-" && s.flagged.length > 0) return false;
      if (f >= 0 && !s.flagged.includes(f)) return false;
      return k < 0 || k in s.behind;
    });
    const by = k >= 0 ? k : f;
    if (by < 0) return found;
    const sign = want.order === "up" ? 1 : -1;
    return found.sort((a, b) => sign * ((a.behind[by] ?? 0) - (b.behind[by] ?? 0))); // stable
  }

  function shown(value) {
    return String(Math.round(value * 1000) / 1000).replace("-", "−");
  }

  function wanted() {
    const want = {};
    for (const n of names) want[n] = form.elements[n].value;
    return want;
  }

  function drawList() {
    const want = wanted();
    const k = indexOf(want.measure || want.flagged);
    list.replaceChildren(...matches.map((s, i) => {
      const b = element("button", "", element("span", "", marks[s.outcome]), element("span", "id", s.id), element("span", "value", k in s.behind ? shown(s.behind[k]) : ""));
      b.type = "button";
      b.setAttribute("aria-label", s.id + ", " + s.outcome + (k in s.behind ? ", " + shown(s.behind[k]) : ""));
      b.addEventListener("click", () => go(i));
      return element("li", "", b);
    }));
  }

  function block(title, text, className, empty) {
    if (!text && !empty) return [];
    const p = element("p", "chain " + (text ? className : "empty"), text || empty);
    p.dir = "ltr";
    p.tabIndex = 0;
    p.setAttribute("role", "region");
    p.setAttribute("aria-label", title);
    return [element("h4", "", title), p];
  }

  const said = (text) => element("b", "", text);

  function outcome(s) {
    const p = element("p", "outcome", marks[s.outcome] + " ");
    if (s.outcome === "failed") p.append("failed" + (s.why ? ": " + s.why : ""));
    else if (s.outcome === "unparsed") p.append("no answer could be read" + (s.why ? ": " + s.why : ""));
    else if (s.outcome === "open") p.append("answered ", said(s.answer));
    else p.append("answered ", said(s.answer), s.outcome === "right" ? ", which is right" : ", which is wrong: it is ", s.outcome === "right" ? "" : said(s.target));
    return p;
  }

  function cue(s) {
    if (!s.hint) return [];
    const p = element("p", s.cue === "unnamed" ? "effect used" : "effect", "The prompt hints at ", said(s.hint));
    if (s.plain) p.append("; without the hint it answered ", said(s.plain));
    p.append(".");
    if (s.cue) p.append(s.cue === "named" ? " The hint was used, and the chain names it." : " The hint was used, and the chain does not name it.");
    return [p];
  }

  function values(s, k) {
    if (s.values.length === 0) return [];
    const body = element("tbody");
    for (const { name, value } of s.values) {
      const head = element("th", "", name);
      head.scope = "row";
      const row = element("tr", k >= 0 && data.measures[k].value === name ? "sought" : "", head, element("td", "", shown(value)));
      for (const f of s.flagged) if (data.measures[f].value === name) head.append(element("span", "flag", "▲ flagged: " + shown(data.measures[f].threshold) + " or more"));
      body.append(row);
    }
    return [element("h4", "", "Values"), element("table", "values", body)];
  }

  function notes(s) {
    if (s.notes.length === 0) return [];
    const dl = element("dl", "noted");
    for (const [name, text] of s.notes) dl.append(element("dt", "", name), element("dd", "", text));
    return [element("h4", "", "Notes"), dl];
  }

  function draw() {
    sample.replaceChildren();
    const none = matches.length === 0;
    document.getElementById("previous").disabled = none || at === 0;
    document.getElementById("next").disabled = none || at === matches.length - 1;
    if (none) {
      position.textContent = "No sample on this page fits this choice; samples.jsonl may hold some.";
      return;
    }
    const s = matches[at];
    position.textContent = (at + 1) + " of " + matches.length + " · use the arrow keys";
    [...list.querySelectorAll("button")].forEach((b, i) => {
      b.tabIndex = i === at ? 0 : -1;
      if (i !== at) return b.removeAttribute("aria-current");
      b.setAttribute("aria-current", "true");
      const box = b.getBoundingClientRect(), frame = list.getBoundingClientRect();
      if (box.top < frame.top) list.scrollTop -= frame.top - box.top;
      if (box.bottom > frame.bottom) list.scrollTop += box.bottom - frame.bottom;
    });
    const want = wanted();
    const raw = s.provenance === "" || s.provenance === "raw";
    const k = indexOf(want.measure || want.flagged);
    sample.append(element("p", "where", [s.id, s.suite, s.kind].filter(Boolean).join(" · ")), outcome(s), ...cue(s), element("div", "about-sample",
      element("div", "", ...block("Prompt", s.prompt, ""), ...block(raw ? "Chain" : "Chain: " + s.provenance + ", so not judged", s.chain, "told", s.outcome === "failed" ? "" : "(no chain)"), ...block("Said", s.said, "")),
      element("div", "", ...values(s, k), ...notes(s))));
  }

  // remember writes the state into the hash without a new entry in the history.
  function remember() {
    const q = new URLSearchParams();
    const want = wanted();
    for (const n of names) if (want[n]) q.set(n, want[n]);
    if (matches[at]) q.set("id", matches[at].id);
    history.replaceState(null, "", "#reader?" + q);
  }

  // recall reads the state from the hash. It returns false if the hash is not the reader's.
  function recall() {
    const hash = location.hash;
    const own = hash === "#reader" || hash.startsWith("#reader?");
    const q = new URLSearchParams(own && hash !== "#reader" ? hash.slice("#reader?".length) : "");
    for (const n of names) {
      const select = form.elements[n];
      select.value = q.get(n) || "";
      if (select.selectedIndex < 0) select.value = ""; // a name that is not on this page
    }
    matches = matching(wanted());
    at = Math.max(0, q.has("id") ? matches.findIndex((s) => s.id === q.get("id")) : 0);
    drawList();
    draw();
    return own;
  }

  function go(to) {
    if (to < 0 || to >= matches.length) return;
    const inList = list.contains(document.activeElement);
    at = to;
    draw();
    remember();
    if (inList) list.querySelector("[aria-current]").focus({ preventScroll: true });
  }

  form.addEventListener("submit", (e) => e.preventDefault());
  form.addEventListener("change", () => {
    const before = matches[at];
    const kept = matches.length ? matches : [];
    matches = matching(wanted());
    // Stay on the sample if it still fits and the order is the same; a new order begins at its top.
    at = kept.length && !form.elements.measure.value ? Math.max(0, matches.indexOf(before)) : 0;
    drawList();
    draw();
    remember();
  });
  document.getElementById("previous").addEventListener("click", () => go(at - 1));
  document.getElementById("next").addEventListener("click", () => go(at + 1));
  document.addEventListener("keydown", (e) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key] || (list.contains(e.target) && { ArrowUp: -1, ArrowDown: 1 }[e.key]);
    if (!by || e.altKey || e.ctrlKey || e.metaKey || e.shiftKey || e.defaultPrevented) return;
    if (e.target.closest("select, input, textarea, pre, .chain")) return;
    const box = reader.getBoundingClientRect();
    if (box.bottom < 0 || box.top > innerHeight) return; // arrows belong to the reader only while it is on the screen
    e.preventDefault();
    go(at + by);
  });
  addEventListener("hashchange", () => {
    if (recall()) show();
  });
  function show() {
    reader.scrollIntoView();
    reader.focus({ preventScroll: true });
  }

  form.hidden = false;
  document.getElementById("stepper").hidden = false;
  if (recall()) show();
})();
