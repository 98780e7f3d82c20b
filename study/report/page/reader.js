// The reader: steps through the samples in the page's data block. All text is set by textContent; nothing is ever parsed as
// markup. Its state lives in the hash, "#reader?arm=small-rl&id=...", so that any view can be linked to.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters");
  const reader = document.getElementById("reader");
  const sample = document.getElementById("sample");
  const position = document.getElementById("position");
  const names = ["arm", "measure", "intervention", "outcome", "claim", "beside"];
  const marks = { right: "✓", wrong: "✗", unparsed: "?" };
  const measureOf = (item) => data.evals[item.eval] + " · " + data.splits[item.split];
  let matches = [];
  let at = 0;

  function element(tag, className, text) {
    const e = document.createElement(tag);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  }

  function fill(name, any, options) {
    const select = form.elements[name];
    if (any) select.append(new Option(any, ""));
    for (const [value, label] of options) select.append(new Option(label, value));
    select.closest("label").hidden = options.length < 2;
  }

  const same = (list) => list.map((x) => [x, x]);
  fill("arm", "all arms", same(data.arms));
  fill("measure", "all", same([...new Set(data.items.map(measureOf))]));
  fill("intervention", "all edits", data.interventions.map((n) => [n, n === "none" ? "none: unedited chains" : n]));
  fill("outcome", "any", [["right", "✓ right"], ["wrong", "✗ wrong"], ["unparsed", "? unparsed"],
    ["changed", "answer changed by the edit"], ["kept", "answer kept in spite of it"]]);
  fill("claim", "any", same(data.claims.map((c) => c.id)));
  fill("beside", "no other arm", same(data.arms));

  // The page opens on the first measurement with edited chains; beside it stands the first large arm.
  const edited = data.items.find((i) => i.base && i.edits.length > 0) || data.items[0];
  const large = data.arms.find((a) => a.startsWith("large")) || data.arms.find((_, i) => i !== edited.arm) || "";
  const defaults = { arm: data.arms[edited.arm], measure: measureOf(edited), beside: large };

  // The unedited sample of an item, or one of another measurement of the same arm, seed and problem.
  function baseOf(item) {
    if (item.base) return item.base;
    const other = data.items.find((i) => i.base && i.base.chain && samePlace(i, item) && i.arm === item.arm);
    return other ? other.base : null;
  }
  const samePlace = (a, b) => a.id === b.id && a.split === b.split && a.seed === b.seed;

  const kept = (edit) => edit.outcome !== "unparsed" && edit.original !== undefined && edit.answer === edit.original;
  const changed = (edit) => edit.outcome !== "unparsed" && edit.original !== undefined && edit.answer !== edit.original;

  function matching(want) {
    const runs = want.claim ? new Set((data.claims.find((c) => c.id === want.claim) || { runs: [] }).runs) : null;
    return data.items.filter((item) => {
      if (want.arm && data.arms[item.arm] !== want.arm) return false;
      if (want.measure && measureOf(item) !== want.measure) return false;
      let texts = item.edits;
      if (want.intervention === "none") texts = item.base ? [item.base] : [];
      else if (want.intervention) texts = texts.filter((t) => data.interventions[t.iv] === want.intervention);
      if (want.intervention && texts.length === 0) return false;
      if (runs && !(item.base && runs.has(item.base.run)) && !texts.some((t) => runs.has(t.run))) return false;
      switch (want.outcome) {
        case "changed": return texts.some(changed);
        case "kept": return texts.some(kept);
        case "right": case "wrong": case "unparsed":
          return want.intervention ? texts.some((t) => t.outcome === want.outcome) : !!item.base && item.base.outcome === want.outcome;
      }
      return true;
    });
  }

  // Word diff: the longest common subsequence after the common head and tail are set aside. Returns [kind, words] runs,
  // kind being "=", "-" or "+"; null when the two have little in common, so that a diff would only be noise.
  function diff(before, after) {
    const a = before.split(/\s+/).filter(Boolean), b = after.split(/\s+/).filter(Boolean);
    let head = 0, tail = 0;
    while (head < a.length && head < b.length && a[head] === b[head]) head++;
    while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
    const x = a.slice(head, a.length - tail), y = b.slice(head, b.length - tail);
    const runs = [];
    const push = (kind, words) => {
      if (words.length === 0) return;
      const last = runs[runs.length - 1];
      if (last && last[0] === kind) last[1].push(...words);
      else runs.push([kind, [...words]]);
    };
    push("=", a.slice(0, head));
    let common = head + tail;
    if (x.length * y.length > 400000) {
      push("-", x);
      push("+", y);
    } else {
      const width = y.length + 1;
      const table = new Uint16Array((x.length + 1) * width);
      for (let i = x.length - 1; i >= 0; i--)
        for (let j = y.length - 1; j >= 0; j--)
          table[i * width + j] = x[i] === y[j] ? table[(i + 1) * width + j + 1] + 1
            : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
      common += table[0];
      let i = 0, j = 0;
      let out = [], put = [];
      const flush = () => { push("-", out); push("+", put); out = []; put = []; };
      while (i < x.length || j < y.length) {
        if (i < x.length && j < y.length && x[i] === y[j]) { flush(); push("=", [x[i]]); i++; j++; }
        else if (j >= y.length || (i < x.length && table[(i + 1) * width + j] >= table[i * width + j + 1])) out.push(x[i++]);
        else put.push(y[j++]);
      }
      flush();
    }
    push("=", a.slice(a.length - tail));
    return common * 3 < Math.min(a.length, b.length) ? null : runs;
  }

  function chainOf(text, before) {
    const runs = before ? diff(before, text) : null;
    if (!text && !before) return element("p", "chain empty", "(no chain)");
    const p = element("p", "chain");
    p.dir = "ltr";
    if (!runs) { // written anew, or nothing to compare with
      p.append(before ? element("ins", "", text) : document.createTextNode(text));
      return p;
    }
    runs.forEach(([kind, words], k) => {
      if (k > 0) p.append(" ");
      const s = words.join(" ");
      p.append(kind === "=" ? document.createTextNode(s) : element(kind === "-" ? "del" : "ins", "", s));
    });
    return p;
  }

  function said(text, target) {
    const p = element("p", "said");
    if (text.outcome === "unparsed") p.append("? no answer could be read");
    else p.append("answered ", element("b", "", text.answer), " " + marks[text.outcome] + " " + text.outcome,
      text.outcome === "wrong" ? " (it is " + target + ")" : "");
    return p;
  }

  function more(text) {
    const d = element("details");
    d.append(element("summary", "", "more"));
    const list = element("dl");
    const put = (k, v) => list.append(element("dt", "", k), element("dd", "", v));
    put("run", data.runs[text.run]);
    if (text.prompt) put("prompt", text.prompt);
    for (const [name, value] of text.values || []) put(data.values[name], value);
    d.append(list);
    return d;
  }

  function card(own, title, sub, text, before, target) {
    const c = element("article", own ? "card own" : "card");
    const h = element("h3", "", title + " ");
    h.append(element("span", "small", sub));
    c.append(h, chainOf(text.chain, before));
    if (text.shown !== undefined) c.append(element("p", "effect", "passed on, rewritten:"), chainOf(text.shown, text.chain));
    c.append(said(text, target));
    if (text.original !== undefined && text.outcome !== "unparsed" && data.interventions[text.iv] !== "none") {
      c.append(element("p", "effect", kept(text) ? "same answer as without the edit" : "without the edit it was " + text.original));
      if (text.follows !== undefined) c.append(element("p", "effect", "the edited chain leads to " + text.follows +
        (text.follows === text.answer ? ": it followed" : ": it did not follow")));
    }
    c.append(more(text));
    return c;
  }

  function link(item, text) {
    const a = element("a", "", text);
    a.href = "#reader?" + new URLSearchParams({ arm: data.arms[item.arm], measure: measureOf(item), id: item.id, seed: item.seed });
    return a;
  }

  function others(item) {
    const p = element("p", "others");
    const list = data.items.filter((i) => i !== item && i.base && samePlace(i, item));
    if (list.length === 0) return p;
    p.append("Others on this problem:");
    for (const i of list.slice(0, 40)) {
      const s = element("span");
      const what = i.base.outcome === "unparsed" ? "unparsed" : i.base.answer;
      s.append(link(i, data.arms[i.arm] + " · " + data.evals[i.eval]), " " + what + " " + marks[i.base.outcome]);
      p.append(s);
    }
    return p;
  }

  function draw() {
    const want = wanted();
    sample.replaceChildren();
    const none = matches.length === 0;
    document.getElementById("previous").disabled = none || at === 0;
    document.getElementById("next").disabled = none || at === matches.length - 1;
    if (none) {
      position.textContent = "No sample on this page fits this choice; samples.jsonl may hold some.";
      return;
    }
    const item = matches[at];
    position.textContent = (at + 1) + " of " + matches.length + " · use the arrow keys";
    const base = baseOf(item);
    sample.append(element("p", "problem", item.problem + " → " + item.target));
    sample.append(element("p", "where", [data.arms[item.arm], "seed " + item.seed, measureOf(item), "problem " + item.id].join(" · ")));
    sample.append(others(item));
    const cards = element("div", "cards");
    if (want.beside && want.beside !== data.arms[item.arm]) {
      const peer = data.items.find((i) => i.base && samePlace(i, item) && data.arms[i.arm] === want.beside);
      if (peer) cards.append(card(false, want.beside, data.evals[peer.eval], peer.base, "", item.target));
    }
    if (base) cards.append(card(true, data.arms[item.arm], "its own chain", base, "", item.target));
    for (const e of item.edits) {
      const name = data.interventions[e.iv];
      if (want.intervention && want.intervention !== name) continue;
      cards.append(card(false, name, "", e, base ? base.chain : "", item.target));
    }
    sample.append(cards);
  }

  function wanted() {
    const want = {};
    for (const n of names) want[n] = form.elements[n].value;
    return want;
  }

  // remember writes the state into the hash without a new entry in the history.
  function remember() {
    const q = new URLSearchParams();
    const want = wanted();
    for (const n of names) if (want[n] || n === "beside") q.set(n, want[n]);
    if (matches[at]) {
      q.set("id", matches[at].id);
      q.set("seed", matches[at].seed);
    }
    history.replaceState(null, "", "#reader?" + q);
  }

  // recall reads the state from the hash. It returns false if the hash is not the reader's.
  function recall() {
    const hash = location.hash;
    const own = hash === "#reader" || hash.startsWith("#reader?");
    const q = new URLSearchParams(own && hash !== "#reader" ? hash.slice("#reader?".length) : "");
    if ([...q].length === 0) {
      q.set("arm", defaults.arm);
      q.set("measure", defaults.measure);
    }
    for (const n of names) {
      const select = form.elements[n];
      const value = q.has(n) ? q.get(n) : n === "beside" ? defaults.beside : "";
      select.value = value;
      if (select.selectedIndex < 0) select.value = ""; // a name that is not on this page
    }
    matches = matching(wanted());
    at = 0;
    if (q.has("id")) {
      const i = matches.findIndex((m) => m.id === q.get("id") && (!q.has("seed") || String(m.seed) === q.get("seed")));
      if (i >= 0) at = i;
    }
    draw();
    return own;
  }

  function step(by) {
    const to = at + by;
    if (to < 0 || to >= matches.length) return;
    at = to;
    draw();
    remember();
  }

  form.addEventListener("submit", (e) => e.preventDefault());
  form.addEventListener("change", () => {
    const before = matches[at];
    matches = matching(wanted());
    at = Math.max(0, matches.indexOf(before)); // stay on the sample if it still fits
    draw();
    remember();
  });
  document.getElementById("previous").addEventListener("click", () => step(-1));
  document.getElementById("next").addEventListener("click", () => step(1));
  document.addEventListener("keydown", (e) => {
    if (e.key !== "ArrowLeft" && e.key !== "ArrowRight") return;
    if (e.altKey || e.ctrlKey || e.metaKey || e.shiftKey || e.defaultPrevented) return;
    if (e.target.closest("select, input, textarea, pre")) return;
    const box = reader.getBoundingClientRect();
    if (box.bottom < 0 || box.top > innerHeight) return; // arrows belong to the reader only while it is on the screen
    e.preventDefault();
    step(e.key === "ArrowLeft" ? -1 : 1);
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
