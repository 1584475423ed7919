// What a region says while it waits: nothing before 300 ms, then the shape of what comes; and where nothing comes, why,
// and the way out. What a button says while it works.
const LATE = 300, PATIENCE = 30_000;
const waits = new Map();

// ── what goes wrong on the way, in words for people ──
class Trouble extends Error {
  constructor(title, text, { away = false, href = "" } = {}) {
    super(title);
    Object.assign(this, { title, text, away, href });
  }
}

// The page that an address answers with. One that holds `wanted` is good whatever its status is.
async function ask(url, options = {}, wanted = "") {
  let answer, html;
  try {
    answer = await fetch(url, { ...options, signal: AbortSignal.timeout(PATIENCE) });
    html = await answer.text();
  } catch (error) {
    const title = error.name === "TimeoutError" ? "FORGE does not answer." : "FORGE cannot be reached.";
    throw new Trouble(title, "What you typed is still here.", { away: true });
  }
  if (answer.redirected && new URL(answer.url).pathname === "/-/sign-in") {
    throw new Trouble("You are signed out.", "Sign in again to go on.", { href: `/-/sign-in?next=${encodeURIComponent(location.pathname + location.search)}` });
  }
  const page = parse(html);
  if (!answer.ok && !(wanted && page.getElementById(wanted))) {
    const words = (s) => $(s, page)?.textContent.trim() ?? "";
    throw new Trouble(`${words("h1") || `FORGE answered with ${answer.status}`}.`, words(".empty p"));
  }
  return page;
}

// ── regions, by the id of their element ──
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = svg.appendChild(document.createElementNS(svg.namespaceURI, "use"));
  use.setAttribute("href", `${$(".icon use")?.getAttribute("href").split("#")[0]}#${name}`);
  return svg;
}
function made(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
// Groups of lines, each as wide as its number says: [[2, 1, 3], [2, 1]].
function skeleton(groups) {
  const box = made("div", "loading stack");
  for (const lines of groups) {
    const group = box.appendChild(made("div", "stack stack-close"));
    for (const width of lines) group.append(made("div", `skeleton sk-${width}`));
  }
  const said = box.appendChild(made("span", "visually-hidden", "Loading"));
  said.setAttribute("role", "status");
  return box;
}
// What stands there now is the likeliest shape of what comes.
function shapeOf(region) {
  const lines = (part) => Array.from({ length: Math.min(6, Math.max(1, Math.round(part.clientHeight / 21))) }, (_, i) => [2, 1, 2, 3][i % 4]);
  const parts = $$(".rendered, .list > li", region).slice(0, 6);
  return parts.length ? parts.map(lines) : [[2, 1, 3]];
}
function wait(id, shape) {
  if (waits.has(id)) return;
  waits.set(id, setTimeout(() => {
    const region = document.getElementById(id);
    if (!region) return;
    for (const old of $$(":scope > .failed", region)) old.remove();
    region.setAttribute("aria-busy", "true");
    region.prepend(skeleton(shape ?? shapeOf(region)));
  }, LATE));
}
function settle(id) {
  clearTimeout(waits.get(id));
  waits.delete(id);
  const region = document.getElementById(id);
  if (!region) return;
  region.removeAttribute("aria-busy");
  for (const old of $$(":scope > .loading, :scope > .failed", region)) old.remove();
}
function fail(id, trouble, again) {
  settle(id);
  if (!(trouble instanceof Trouble)) console.error(trouble);
  const region = document.getElementById(id);
  if (!region) return;
  const box = made("div", "callout failed");
  box.dataset.state = "bad";
  box.setAttribute("role", "alert");
  const said = made("div", ""), way = made("div", "row");
  said.append(made("strong", "", trouble.title ?? "Not loaded."), ` ${trouble.text ?? ""}`, way);
  const button = made("button", "btn btn-small", "Try again");
  button.type = "button";
  button.addEventListener("click", () => { box.remove(); again(); });
  if (trouble.href) way.append(Object.assign(made("a", "btn btn-small", "Sign in"), { href: trouble.href }));
  else way.append(button);
  box.append(icon(trouble.away ? "unplug" : "alert"), said);
  region.prepend(box);
}

// ── buttons: they keep their width and say the verb ──
const VERBS = new Set("Add Approve Start Archive Ask Change Choose Comment Compare Create Delete Discard Duplicate Edit End Export Find Freeze Give Hide Import Invite Join Let Load Lock Make Preview Publish Read Remove Rename Render Restore Retry Return Review Revoke Roll Run Save Search Send Set Show Sign Take Use Withdraw".split(" "));
const worked = new Map();
function doing(label) {
  const [verb, next] = label.split(/\s+/);
  if (!VERBS.has(verb)) return "";
  const ing = /^(Let|Run|Set)$/.test(verb) ? `${verb}${verb.at(-1)}ing` : `${verb.replace(/e$/, "")}ing`;
  return /^(away|back|in|out)$/.test(next ?? "") ? `${ing} ${next}` : ing;
}
function work(button, on) {
  if (!button) return;
  if (!on) {
    const was = worked.get(button);
    worked.delete(button);
    button.removeAttribute("aria-busy");
    delete button.dataset.tight;
    button.style.inlineSize = "";
    if (was?.node) was.node.data = was.text;
    return;
  }
  if (worked.has(button)) return;
  const node = [...button.childNodes].findLast((n) => n.nodeType === 3 && n.data.trim());
  const word = node ? doing(node.data.trim()) : "";
  worked.set(button, { node: word ? node : null, text: node?.data });
  button.style.inlineSize = `${button.getBoundingClientRect().width}px`;
  button.setAttribute("aria-busy", "true");
  if (word) node.data = ` ${word}`;
  if (button.scrollWidth > button.clientWidth) button.dataset.tight = "";
}
