// The playground: texts renew themselves while one types, and run over the API. Without this file the page renders.
addEventListener("DOMContentLoaded", () => {
  const form = $("#play");
  if (!form) return;
  const running = new Map();
  let timer, turn = 0;
  history.replaceState(null, "", form.action);     // the address of what is shown, to send to somebody

  // The texts of all columns on these values. What is on the page is what a run sends.
  async function render() {
    clearTimeout(timer);
    const mine = ++turn;
    const body = new URLSearchParams(new FormData(form));
    body.set("do", "render");
    const columns = $$(".play-text", form);
    for (const column of columns) wait(column.id);
    let page;
    try { page = await ask(form.action, { method: "POST", body }, "play"); } catch (trouble) {
      if (mine === turn) for (const column of columns) fail(column.id, trouble, render);
      return false;
    }
    if (mine !== turn) return false;               // a newer one is on its way
    for (const column of columns) settle(column.id);
    for (const old of $$(".play-text", form)) {
      const fresh = page.getElementById(old.id);
      if (fresh) swap(old, document.adoptNode(fresh));
    }
    return true;
  }
  const soon = () => { clearTimeout(timer); timer = setTimeout(render, 300); };

  const money = (n, currency) => new Intl.NumberFormat("en", { style: "currency", currency, maximumSignificantDigits: 3 }).format(n);
  const time = (ms) => ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
  function told(done) {
    const about = done.estimated ? "about " : "";
    const parts = [`${about}${done.input_tokens} + ${done.output_tokens} tokens`];
    if (done.cost !== null) parts.push(money(done.cost, done.currency));
    parts.push(time(done.total_ms));
    if (done.first_ms !== null) parts.push(`first word after ${time(done.first_ms)}`);
    if (done.stop && !["stop", "end_turn", "stop_sequence"].includes(done.stop)) parts.push(`ended by ${done.stop}`);
    return parts.join(" · ");
  }
  function refuse(index, why) {
    const box = $("#failed-" + index);
    $("span", box).textContent = why;
    box.hidden = false;
  }
  function busy(index, on) {
    $(`[data-run-column="${index}"]`).hidden = on;
    $(`[data-stop-column="${index}"]`).hidden = !on;
    $("#answer-" + index).setAttribute("aria-busy", on);
  }
  function take(index, event, data) {
    if (event === "begun") $("#told-" + index).textContent = "Running";
    if (event === "text") $("#answer-" + index).append(data.text);
    if (event === "done") $("#told-" + index).textContent = told(data);
    if (event === "failed") { $("#told-" + index).textContent = ""; refuse(index, data.detail + "."); }
    return event === "done" || event === "failed";
  }
  // Reads events out of the body of an answer; true where the last one came.
  async function follow(index, body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", ended = false;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return ended;
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const field = (name) => block.split("\n").find((l) => l.startsWith(name + ":"))?.slice(name.length + 1).trim();
        if (field("data")) ended = take(index, field("event"), JSON.parse(field("data"))) || ended;
      }
    }
  }
  async function run(index) {
    const text = $("#text-" + index), answer = $("#answer-" + index);
    if (running.has(index) || !text) return;
    $("#failed-" + index).hidden = true;
    if (!text.dataset.run) return refuse(index, "There is nothing to run: mend what is said above first.");
    const stop = new AbortController();
    running.set(index, stop);
    busy(index, true);
    answer.hidden = false;
    answer.replaceChildren();
    $("#told-" + index).textContent = "Asking";
    try {
      const response = await fetch(form.dataset.runs, {
        method: "POST",
        signal: stop.signal,
        headers: { "content-type": "application/json", "x-csrf-token": form.elements.csrf.value },
        body: JSON.stringify({ ...JSON.parse(text.dataset.run), model: $("#model-" + index).value }),
      });
      if (!response.ok) {
        const problem = await response.json().catch(() => ({}));
        throw new Error((problem.detail ?? "FORGE did not take the run") + ".");
      }
      if (!(await follow(index, response.body))) throw new Error("The answer broke off: run it again.");
    } catch (error) {
      $("#told-" + index).textContent = "";
      if (stop.signal.aborted) $("#told-" + index).textContent = "Stopped";
      else refuse(index, error instanceof TypeError ? "FORGE cannot be reached." : error.message);
    } finally {
      running.delete(index);
      busy(index, false);
    }
  }
  async function runAll() {
    if ($("#run-all").getAttribute("aria-busy")) return;
    work($("#run-all"), true);
    if (await render()) await Promise.all($$("[data-run-column]", form).map((button) => run(button.dataset.runColumn)));
    work($("#run-all"), false);
  }

  form.addEventListener("input", (e) => { if (/^[vh]-/.test(e.target.name ?? "")) soon(); });
  form.addEventListener("change", (e) => {
    if (e.target.matches("[data-column-pick]")) $("#render").click();
    if (e.target.matches("[data-load]")) $("#load-go").click();
  });
  on("click", async (e) => {
    const one = e.target.closest("[data-run-column]"), stop = e.target.closest("[data-stop-column]");
    if (one && await render()) run(one.dataset.runColumn);
    if (stop) running.get(stop.dataset.stopColumn)?.abort();
    if (e.target.closest("#run-all")) runAll();
  });
  // Ctrl Enter runs where it can, and renders where it cannot.
  form.addEventListener("keydown", (e) => {
    if (!(e.ctrlKey || e.metaKey) || e.key !== "Enter") return;
    e.preventDefault();
    e.stopPropagation();
    if ($("#run-all")) runAll(); else render();
  });
});
