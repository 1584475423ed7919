// Enhancement only: every page reads, and every form posts, without this file.
const $ = (s, root = document) => root.querySelector(s);
const $$ = (s, root = document) => [...root.querySelectorAll(s)];
const on = (type, f) => document.addEventListener(type, f);
const root = document.documentElement;
root.classList.add("js");

// ── theme: follows the system until the person chooses; the server reads the cookie ──
const cookie = (name) => document.cookie.split("; ").find((c) => c.startsWith(name + "="))?.slice(name.length + 1);
const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
function switchTheme() {
  root.dataset.theme = dark() ? "light" : "dark";
  document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
}

// ── tabs that do not fit: the one that is open is seen, and the page stays where it is ──
for (const tab of $$(".tabs > [aria-current]")) {
  const row = tab.parentElement, at = tab.getBoundingClientRect(), all = row.getBoundingClientRect();
  if (at.left < all.left || at.right > all.right) row.scrollLeft += at.left - all.left - (all.width - at.width) / 2;
}

// ── copy and download ──
async function copy(button) {
  const label = $("span", button);
  try {
    await navigator.clipboard.writeText($("#" + button.dataset.copy).textContent.trim());
    label.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("#" + button.dataset.copy));
    label.textContent = "Press Ctrl C";
  }
  setTimeout(() => (label.textContent = "Copy"), 1600);
}
function download(button) {
  const url = URL.createObjectURL(new Blob([$("#" + button.dataset.download).textContent], { type: "text/plain" }));
  Object.assign(document.createElement("a"), { href: url, download: button.dataset.name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
function unveil(button) {
  const shown = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", shown);
  button.textContent = shown ? "Hide" : "Show";
  for (const veil of $$("[data-veil]")) veil.classList.toggle("unveiled", shown);
}
on("click", (e) => {
  const hit = (s) => e.target.closest(s);
  if (hit("[data-theme-switch]")) switchTheme();
  if (hit("[data-copy]")) copy(hit("[data-copy]"));
  if (hit("[data-download]")) download(hit("[data-download]"));
  if (hit("[data-unveil]")) unveil(hit("[data-unveil]"));
  if (hit("[data-reconnect]")) live.open();
  if (hit("[data-palette]") && !e.ctrlKey && !e.metaKey) { e.preventDefault(); palette.open(); }
  if (hit("[data-problem-at]")) editor?.focus();
  for (const menu of $$("details.more[open]")) if (!menu.contains(e.target)) menu.open = false;
});
on("change", (e) => { if (e.target.closest("[data-submit]")) e.target.form.requestSubmit(); });
on("submit", (e) => {                              // the button keeps its place while it works
  const button = e.submitter;
  if (button?.matches(".btn") && e.target.method === "post") setTimeout(() => work(button, true));
});
addEventListener("pageshow", () => $$('.btn[aria-busy="true"]').forEach((b) => work(b, false)));

// ── filter of a list on the page ──
on("input", (e) => {
  const id = e.target.dataset?.filter;
  if (!id) return;
  const words = e.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = $$(".tree a", $("#" + id));
  for (const row of rows) row.hidden = !words.every((w) => (row.title || row.textContent).toLowerCase().includes(w));
  for (const folder of $$("details", $("#" + id))) {
    folder.hidden = !$("a:not([hidden])", folder);
    if (words.length) folder.open = true;
  }
  $("[data-none]", $("#" + id)).hidden = rows.some((r) => !r.hidden);
});

// ── search: results renew themselves while one types ──
const search = {
  timer: null, turn: 0,
  soon(form) { clearTimeout(this.timer); this.timer = setTimeout(() => this.find(form), 250); },
  async find(form) {
    const mine = ++this.turn, url = `${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`;
    wait("results");
    let page;
    try { page = await ask(url, {}, "results"); } catch (trouble) { if (mine === this.turn) fail("results", trouble, () => this.find(form)); return; }
    if (mine !== this.turn) return;                // a newer one is on its way
    settle("results");
    const fresh = page.getElementById("results"), chips = $$(".chip", page);
    if (!fresh) return;
    $("#results").replaceWith(document.adoptNode(fresh));
    $$(".chip", form).forEach((chip, i) => { if (chips[i]) chip.href = chips[i].getAttribute("href"); });
    history.replaceState(null, "", url);
  },
};
on("input", (e) => { if (e.target.matches?.('form[data-results] input[type="search"]')) search.soon(e.target.form); });
on("submit", (e) => { if ("results" in e.target.dataset) { clearTimeout(search.timer); search.turn++; } });   // the whole page comes

// ── palette: the same list as /-/palette, in a dialog ──
const palette = {
  stale: true, entered: false,
  async open() {
    let box = $("dialog.palette");
    if (!box) {
      box = document.createElement("dialog");
      box.className = "dialog palette";
      box.setAttribute("aria-label", "Find or do");
      box.innerHTML = `<div class="palette-find"><input type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list" autocomplete="off" aria-label="Find a project, a set, a prompt or an action" placeholder="Find or do"> <kbd>Esc</kbd></div><div id="palette-results"><div id="palette-list" role="listbox" aria-label="Results"></div></div>`;
      document.body.append(box);
      let timer;
      $("input", box).addEventListener("input", () => { this.stale = true; this.entered = false; clearTimeout(timer); timer = setTimeout(() => this.find(box), 120); });
      box.addEventListener("click", (e) => {
        if (e.target === box) return box.close();
        const href = e.target.closest?.("a")?.href, to = href && new URL(href);
        if (!to?.hash || to.pathname !== location.pathname) return;
        box.close();
        const button = $("button" + to.hash);                // what this page does by a button
        if (button) { e.preventDefault(); button.click(); }
      });
    }
    box.showModal();
    $("input", box).select();
    await this.find(box);
  },
  async find(box) {
    const q = $("input", box).value;
    this.stale = true;
    wait("palette-results", [[3], [2], [1], [2], [1], [3]]);
    let list;
    try {
      const page = await ask(`/-/palette?organisation=${encodeURIComponent(document.body.dataset.organisation ?? "")}&at=${encodeURIComponent(location.pathname)}&q=${encodeURIComponent(q)}`);
      list = page.querySelector("#palette-found");
    } catch (trouble) {
      if (q !== $("input", box).value) return;
      $("#palette-list", box).replaceChildren();
      return fail("palette-results", trouble, () => { $("input", box).focus(); this.find(box); });
    }
    if (!list || q !== $("input", box).value) return;   // a newer one is on its way
    settle("palette-results");
    $$("ul", list).forEach((u) => u.setAttribute("role", "group"));
    $$("li, h2", list).forEach((l) => l.setAttribute("role", "presentation"));
    $$("section", list).forEach((s) => { s.setAttribute("role", "presentation"); s.removeAttribute("aria-label"); });
    $$("a", list).forEach((a, i) => { a.setAttribute("role", "option"); a.id = "option-" + i; a.setAttribute("aria-selected", i === 0); a.tabIndex = -1; });
    $("#palette-list", box).replaceChildren(list);
    this.choose(box, 0);
    this.stale = false;
    if (this.entered) this.enter(box);
  },
  // Enter means what was typed, not what was found before it.
  enter(box) {
    this.entered = this.stale;
    if (!this.stale) $('[aria-selected="true"]', box)?.click();
  },
  choose(box, step) {
    const rows = $$('[role="option"]', box);
    if (!rows.length) return $("input", box).removeAttribute("aria-activedescendant");
    const at = Math.max(0, rows.findIndex((r) => r.getAttribute("aria-selected") === "true"));
    const next = rows[(at + step + rows.length) % rows.length];
    rows.forEach((r) => r.setAttribute("aria-selected", r === next));
    $("input", box).setAttribute("aria-activedescendant", next.id);
    next.scrollIntoView({ block: "nearest" });
  },
};
// ── the list of keys: the same as on the page of help ──
function keyList() {
  const box = made("dialog", "dialog key-list");
  box.setAttribute("aria-labelledby", "key-list-title");
  box.innerHTML = `<form method="dialog" class="row row-between"><h2 id="key-list-title">Keys</h2> <button class="btn btn-small">Close</button></form><div id="key-list-body"></div>`;
  box.addEventListener("close", () => box.remove());
  box.addEventListener("click", (e) => { if (e.target === box) box.close(); });
  document.body.append(box);
  box.showModal();
  fillKeyList();
}
async function fillKeyList() {
  wait("key-list-body", [[2], [1], [2], [1], [2], [1]]);
  let list;
  try { list = (await ask("/-/help/keys")).querySelector(".keys"); } catch (trouble) { return fail("key-list-body", trouble, fillKeyList); }
  settle("key-list-body");
  if (list) $("#key-list-body")?.replaceChildren(document.adoptNode(list));
}
const parse = (html) => new DOMParser().parseFromString(html, "text/html");

// ── keys ──
let went = 0;
on("keydown", (e) => {
  const typing = e.target.closest?.("input, textarea, select, [contenteditable]");
  const ctrl = e.ctrlKey || e.metaKey;
  if (ctrl && e.key === "k") { e.preventDefault(); return palette.open(); }
  if (ctrl && e.key === "s" && $("#save")) { e.preventDefault(); return editor ? editor.save() : $("#save").click(); }
  if (ctrl && e.key === "Enter") {
    if ($("#edit")) { e.preventDefault(); return editor ? editor.preview() : $("#refresh")?.click(); }
    if (typing?.form) { e.preventDefault(); return typing.form.requestSubmit(); }
  }
  const box = e.target.closest?.("dialog.palette");
  if (box && (e.key === "ArrowDown" || e.key === "ArrowUp")) { e.preventDefault(); return palette.choose(box, e.key === "ArrowDown" ? 1 : -1); }
  if (box && e.key === "Enter" && typing) { e.preventDefault(); return palette.enter(box); }
  if (typing || ctrl || e.altKey || cookie("keys") === "off" || $("dialog[open]")) return;
  const { organisation, project } = document.body.dataset;
  const base = project && `/${organisation}/${project}`;
  if (Date.now() - went < 1200) {
    went = 0;
    const to = { d: organisation && `/${organisation}`, r: organisation && `/${organisation}/-/reviews`, p: base, a: base && `${base}/-/agents`, c: base && `${base}/-/credentials` }[e.key];
    if (to) { e.preventDefault(); location.href = to; }
    return;
  }
  if (e.key === "g") went = Date.now();
  if (e.key === "?") { e.preventDefault(); return keyList(); }
  if (e.key === "/") { e.preventDefault(); const find = $(".main .find input"); return find ? find.select() : palette.open(); }
  if (e.key === "c") $('.main a[href$="/-/compare"], .main a[href*="/-/compare/"]')?.click();
  if (e.key === "p") $('.main a[href*="/-/publish"]')?.click();
  if (e.key === "x") document.activeElement?.closest("tr, li")?.querySelector('input[type="checkbox"]')?.click();
  if (e.key === "j" || e.key === "k") {            // rows of the page's first table or list
    const links = [...new Set($$(".main tbody tr, .main .list > li, .main .tree a:not([hidden])").map((row) => (row.matches("a") ? row : $("a", row))))].filter((a) => a?.checkVisibility());
    const row = document.activeElement?.closest("tbody tr, .list > li, .tree a");
    const at = links.findIndex((a) => a === document.activeElement || row?.contains(a));
    links[Math.max(0, Math.min(links.length - 1, at + (e.key === "j" ? 1 : -1)))]?.focus();
  }
});

// ── relative times stay true while a page is open ──
function ago(at) {
  const s = Math.trunc((Date.now() - at) / 1000), past = s >= 0, n = Math.abs(s);
  if (past && s < 2) return "just now";
  const of = (unit) => Math.floor((n + (past ? 0 : unit / 2)) / unit);
  const days = of(86400);
  const [count, unit] = n < 60 ? [n, "s"] : n < 3600 ? [of(60), "min"] : n < 86400 ? [of(3600), "h"] : [days, days === 1 ? "day" : "days"];
  return past ? `${count} ${unit} ago` : `in ${count} ${unit}`;
}
setInterval(() => {
  for (const t of $$("time[datetime]:not([data-absolute])")) t.textContent = ago(Date.parse(t.dateTime));
}, 15_000);

// ── live: fragments by element id, in place ──
const live = {
  source: null, heard: Date.now(), last: "", timer: null,
  open() {
    const url = document.body.dataset.events;
    if (!url || this.source) return;
    this.show(true);
    const source = (this.source = new EventSource(url));
    const heard = () => { this.heard = Date.now(); };
    let opened = false;
    source.onopen = () => { heard(); if (opened) this.refetch(); opened = true; };   // again: something may have been missed
    source.addEventListener("beat", heard);
    source.addEventListener("fragment", (e) => { heard(); this.last = e.lastEventId; place(e.data); });
    source.addEventListener("reload", () => { heard(); this.refetch(); });
    clearInterval(this.timer);
    this.timer = setInterval(() => { if (Date.now() - this.heard > 15_000) this.show(false); else this.show(true); }, 2000);
  },
  close() { this.source?.close(); this.source = null; clearInterval(this.timer); },
  show(up) {
    for (const dot of $$("[data-live]")) {
      dot.dataset.live = up ? "up" : "stopped";
      dot.classList.toggle("live", up);
      dot.dataset.state = up ? "active" : "waiting";
      dot.textContent = up ? "Live" : "Live updates stopped";
    }
    const toast = $("#stopped");
    if (!toast) return;
    if (!up && toast.hidden) {
      const time = $("[data-stopped]", toast), at = new Date(this.heard);
      time.dateTime = at.toISOString(); time.dataset.absolute = ""; time.textContent = at.toLocaleTimeString();
    }
    toast.hidden = up;
  },
  async refetch() {
    let page;
    // Away: what is shown stays, and the silence is told. Signed out, or gone: the whole page says so.
    try { page = await ask(location.href); } catch (trouble) { return trouble.away ? undefined : location.reload(); }
    for (const id of ["answer", "answers", "stage", "fleet", "dashboard", "first-steps", "log", "project", "publications", "summary"]) if ($("#" + id) && page.getElementById(id)) swap($("#" + id), page.getElementById(id));
  },
};
// Only what differs is touched, so that focus, selection and a hover stay where they are.
function swap(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  const mine = [...old.children], theirs = [...fresh.children];
  const shape = old.tagName === fresh.tagName && mine.length > 0 && mine.length === theirs.length &&
    mine.every((c, i) => c.id === theirs[i].id && c.tagName === theirs[i].tagName) &&
    ![...old.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!shape) return old.contains(document.activeElement) ? later(old, fresh) : old.replaceWith(document.adoptNode(fresh));
  for (const a of fresh.attributes) if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
  for (const a of [...old.attributes]) if (!fresh.hasAttribute(a.name)) old.removeAttribute(a.name);
  mine.forEach((c, i) => swap(c, theirs[i]));
}
// What has the focus is replaced when it lets go.
function later(old, fresh) {
  old.addEventListener("focusout", () => { if (old.isConnected) old.replaceWith(document.adoptNode(fresh)); }, { once: true });
}
function place(html) {
  for (const fresh of [...parse(html).body.children]) {
    const old = fresh.id && document.getElementById(fresh.id);
    if (old) swap(old, fresh);
  }
}
on("visibilitychange", () => {
  if (document.hidden) return live.close();
  if (document.body.dataset.events) { live.refetch(); live.open(); }
});
live.open();

// ── editor ──
let editor = null;
addEventListener("DOMContentLoaded", () => {
  const form = $("#edit");
  if (!form) return;
  const areas = $$("[data-editor]", form);
  let dirty = "dirty" in form.dataset, timer, idle, turn = 0, edits = 0;
  const words = () => {
    const fixed = JSON.parse(form.dataset.words || "{}");
    return { ...fixed, parameters: $$('[name="p-name"]').map((i) => i.value).filter(Boolean).concat(fixed.variables ?? []) };
  };
  // What is tried belongs to no draft: it is rendered, and there is nothing to save.
  const tried = (name) => /^[vh]-/.test(name) || ["beside", "variables"].includes(name);
  const renew = () => { clearTimeout(timer); timer = setTimeout(preview, 250); };
  const changed = () => {
    dirty = true;
    edits += 1;
    renew();
    keepSoon();
    saveSoon();
  };
  const views = new Map();
  if (window.ForgeEditor) for (const area of areas) views.set(area.dataset.part, ForgeEditor.mount(area, { nonce: form.dataset.nonce, words, changed }));
  const body = (what) => { const data = new URLSearchParams(new FormData(form)); if (what) data.set("do", what); return data; };

  // What is not saved yet stays in this browser, and is offered after a reload. Nothing of a form's secrets is in it.
  const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const shelf = `unsaved:${new URL(form.action).pathname}`;
  let keeping;
  function keepSoon() {
    clearTimeout(keeping);
    if ("editable" in form.dataset) keeping = setTimeout(keep, 300);
  }
  function keep() {
    const fields = [...new FormData(form)].filter(([name]) => name !== "csrf" && name !== "do");
    try { localStorage.setItem(shelf, JSON.stringify({ at: Date.now(), revision: form.elements.revision.value, fields })); } catch { /* it is full, or switched off */ }
  }
  function forget() {
    clearTimeout(keeping);
    try { localStorage.removeItem(shelf); } catch { /* switched off */ }
  }
  function offer() {
    let kept;
    try { kept = JSON.parse(stored(shelf)); } catch { return; }
    const box = $("#unsaved");
    if (!kept?.fields || !box || dirty || !("editable" in form.dataset)) return;
    const words = (fields) => JSON.stringify(fields.filter(([name]) => !["revision", "message"].includes(name) && !name.startsWith("variables-") && !tried(name)));
    if (words(kept.fields) === words([...new FormData(form)].filter(([name]) => name !== "csrf" && name !== "do"))) return forget();
    const time = $("[data-unsaved-at]", box);
    time.dateTime = new Date(kept.at).toISOString();
    time.textContent = ago(kept.at);
    $("[data-unsaved-older]", box).hidden = kept.revision === form.elements.revision.value;
    box.hidden = false;
    $('[data-unsaved="discard"]', box).addEventListener("click", () => { forget(); box.hidden = true; });
    // The server shows it as typed, with the revision that it started from: saving it never hides a newer one.
    $('[data-unsaved="restore"]', box).addEventListener("click", () => {
      const back = Object.assign(document.createElement("form"), { method: "post", action: form.action, hidden: true });
      for (const [name, value] of [...kept.fields, ["csrf", form.elements.csrf.value], ["do", "restore"]]) {
        const field = document.createElement("textarea");
        field.name = name;
        field.value = value;
        back.append(field);
      }
      document.body.append(back);
      dirty = false;
      back.submit();
    });
  }
  function showProblems() {
    const list = $$("#problems [data-problem]").map((p) => ({ part: p.dataset.part, line: +p.dataset.line, column: +p.dataset.column, message: p.dataset.message }));
    for (const [part, view] of views) view.problems(list.filter((p) => p.part === part));
    return list;
  }
  async function preview() {
    const mine = ++turn;
    wait("preview");
    let page;
    try {
      page = await ask(form.dataset.preview, { method: "POST", body: body("preview"), headers: { "x-csrf-token": form.elements.csrf.value } });
    } catch (trouble) {
      if (mine === turn) fail("preview", trouble, preview);
      return;
    }
    if (mine !== turn) return;                     // a newer one is on its way
    settle("preview");
    for (const id of ["problems", "found", "verdict", "size"]) if ($("#" + id) && page.getElementById(id)) $("#" + id).replaceWith(document.adoptNode(page.getElementById(id)));
    const fresh = page.getElementById("preview"), old = $("#preview");
    if (fresh && old) {
      const keep = fresh.dataset.state === "stale" && old.querySelector(".rendered") && !fresh.querySelector(".problem");
      $("#preview-note").hidden = !keep;
      if (!keep) old.replaceWith(document.adoptNode(fresh));
    }
    showProblems();
  }
  // What an earlier try said is wrong no longer is.
  function mended() {
    for (const said of $$(".bench-text > .panel-body > .callout[data-state=bad]")) said.parentElement.remove();
    for (const field of [...form.elements].filter((f) => f.getAttribute("aria-invalid"))) {
      const why = document.getElementById(field.getAttribute("aria-describedby") ?? "");
      if (!why?.classList.contains("error")) continue;
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
      why.remove();
    }
  }
  // Sends the draft; gives what stands in the way, or nothing when it was taken.
  let sending = null;
  function send() { return (sending = deliver().finally(() => (sending = null))); }
  async function deliver() {
    const before = edits;
    let answer, html;
    try {
      answer = await fetch(form.action, { method: "POST", body: body("save") });
      html = await answer.text();
    } catch { return "FORGE cannot be reached"; }
    const page = parse(html);
    if (answer.status === 409) return `${page.querySelector("[data-own]") ? "you saved it in another window" : "somebody else saved it"}; Save shows both texts`;
    if (!answer.redirected || !answer.ok || !page.getElementById("revision")) return "press Save to see why";
    form.elements.revision.value = page.getElementById("revision").value;
    if (form.elements.message) form.elements.message.value = "";
    for (const id of ["saved", "tree", "actions"]) if ($("#" + id) && page.getElementById(id)) swap($("#" + id), page.getElementById(id));
    if (edits === before) { dirty = false; forget(); }
    mended();
    return "";
  }
  // The page shows what saving would do, and somebody has to say so: nothing is saved by itself, and then by a new page.
  function held() { return ["conflict", "review"].some((word) => word in form.dataset); }
  // Drafts save themselves when one stops to think. What cannot be saved yet stays here, and says so.
  function saveSoon() {
    clearTimeout(idle);
    const by = stored("autosave") !== "off" && !held();
    if ($("#save") && by) idle = setTimeout(saveNow, 1500);
  }
  async function saveNow() {
    const button = $("#save");
    if (!dirty || !button) return;
    if (button.getAttribute("aria-busy")) return saveSoon();
    work(button, true);
    const why = await send();
    work(button, false);
    if (why && $("#saved")) $("#saved").textContent = `Not saved: ${why}`;
    if (!why && dirty) saveSoon();
  }
  let pressed = false;
  async function save() {
    const button = $("#save");
    if (!button || pressed || (button.getAttribute("aria-busy") && !sending)) return;
    clearTimeout(idle);
    if (held()) return form.requestSubmit(button);
    pressed = true;
    await sending;                                 // what saves itself just now may be refused, and says less then
    work(button, true);
    const why = await send();
    work(button, false);
    pressed = false;
    if (!why) return;
    dirty = false;                                 // the full page says why, with every word kept
    form.requestSubmit(button);
  }
  const touched = (field) => {
    if (field.name?.startsWith("variables-")) return;
    if (tried(field.name ?? "")) renew(); else changed();
  };
  on("input", (e) => { if (e.target.form === form && !e.target.closest(".cm-editor")) touched(e.target); });
  on("change", (e) => { if (e.target.form === form) touched(e.target); });
  $("#refresh")?.addEventListener("click", async (e) => {
    e.preventDefault();
    work(e.currentTarget, true);
    await preview();
    work($("#refresh"), false);
  });
  $("#variables-as")?.addEventListener("keydown", (e) => {
    if (e.key !== "Enter" || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    $('[value="save-variables-as"]').click();
  });
  $("#save")?.addEventListener("click", (e) => { e.preventDefault(); save(); });
  form.addEventListener("submit", (e) => {
    clearTimeout(idle);
    if (sending) {                                 // it goes after that, with the revision that it makes
      e.preventDefault();
      clearTimeout(timer);
      turn += 1;                                   // no preview takes the button away meanwhile
      sending.then(() => form.requestSubmit(e.submitter));
      return;
    }
    dirty = false;
  });
  const byItself = $("[data-autosave]");
  const says = () => { if (byItself) $("span", byItself).textContent = `Save while I write: ${stored("autosave") === "off" ? "off" : "on"}`; };
  byItself?.addEventListener("click", () => {
    try { localStorage.setItem("autosave", stored("autosave") === "off" ? "on" : "off"); } catch { /* switched off */ }
    says();
    if (dirty) saveSoon();
  });
  says();
  addEventListener("beforeunload", (e) => { if (dirty) e.preventDefault(); });
  editor = {
    save, preview,
    focus() {
      const p = $("#problems [data-problem]");
      if (p) views.get(p.dataset.part)?.focus({ line: +p.dataset.line, column: +p.dataset.column });
    },
  };
  showProblems();
  offer();
  if (dirty && !$("[data-state=bad].callout")) saveSoon();
});
