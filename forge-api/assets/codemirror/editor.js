// The editor of one template text, in front of the <textarea> that the form posts.
// window.ForgeEditor.mount(textarea, { nonce, words, changed }) → { problems(list), focus(line), text() }
import { EditorState, StateField, StateEffect } from "@codemirror/state";
import { EditorView, Decoration, WidgetType, keymap, lineNumbers, drawSelection, highlightActiveLine } from "@codemirror/view";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { StreamLanguage, syntaxHighlighting, bracketMatching } from "@codemirror/language";
import { autocompletion, completionKeymap, closeBrackets } from "@codemirror/autocomplete";
import { setDiagnostics, nextDiagnostic, previousDiagnostic } from "@codemirror/lint";
import { tags, tagHighlighter } from "@lezer/highlight";

// Three kinds of islands in plain text: {{ value }}, {% tag %}, {# note #}; {% raw %} switches them off.
const template = StreamLanguage.define({
  name: "template",
  startState: () => ({ inside: null, raw: false }),
  copyState: (s) => ({ ...s }),
  token(stream, state) {
    if (state.inside) {
      const { end, style } = state.inside;
      if (stream.skipTo(end)) { stream.pos += end.length; state.inside = null; } else stream.skipToEnd();
      return style;
    }
    if (state.raw) {
      if (stream.match(/\{%-?\s*endraw\s*-?%\}/)) { state.raw = false; return "keyword"; }
      if (!stream.match(/[^{]+/)) stream.next();
      return null;
    }
    if (stream.match(/\{%-?\s*raw\s*-?%\}/)) { state.raw = true; return "keyword"; }
    if (stream.match("{#")) state.inside = { end: "#}", style: "comment" };
    else if (stream.match("{{")) state.inside = { end: "}}", style: "variableName" };
    else if (stream.match("{%")) state.inside = { end: "%}", style: "keyword" };
    if (state.inside) return state.inside.style;
    stream.next();
    stream.match(/[^{]+/);
    return null;
  },
});
const looks = tagHighlighter([
  { tag: tags.variableName, class: "var" },
  { tag: tags.keyword, class: "tagm" },
  { tag: tags.comment, class: "note" },
]);

// A problem stands under its line, in the words of the server.
class Note extends WidgetType {
  constructor(text) { super(); this.text = text; }
  eq(other) { return other.text === this.text; }
  toDOM() {
    const note = document.createElement("div");
    note.className = "line-problem";
    const box = note.appendChild(document.createElement("div"));
    box.className = "problem";
    box.textContent = this.text;
    return note;
  }
}
const setNotes = StateEffect.define();
const notes = StateField.define({
  create: () => Decoration.none,
  update(value, tr) {
    value = value.map(tr.changes);
    for (const e of tr.effects) if (e.is(setNotes)) value = e.value;
    return value;
  },
  provide: (f) => EditorView.decorations.from(f),
});

const theme = EditorView.theme({
  "&": { fontSize: "var(--t-2)", backgroundColor: "transparent", color: "inherit" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.625", fontVariantLigatures: "none" },
  ".cm-content": { padding: "var(--s-2) 0", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0 var(--s-4) 0 var(--s-2)" },
  ".cm-gutters": { backgroundColor: "transparent", border: "0", color: "var(--ink-3)" },
  ".cm-lineNumbers .cm-gutterElement": { minWidth: "2.25rem", padding: "0 var(--s-1) 0 0" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLine": { backgroundColor: "var(--bg-sunk)" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--focus) 26%, transparent) !important",
  },
  ".cm-line.line-bad, &.cm-focused .cm-activeLine.line-bad": { backgroundColor: "var(--bad-bg)", boxShadow: "inset 2px 0 0 var(--bad-solid)" },
  ".cm-lintRange-error": { backgroundImage: "none", paddingBottom: "0" },
  ".cm-lintRange-active": { backgroundColor: "transparent" },
  ".cm-tooltip": { border: "0", borderRadius: "var(--r-2)", backgroundColor: "var(--bg-raised)", color: "var(--ink)", boxShadow: "var(--shadow)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "var(--t-2)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "var(--s-1) var(--s-2)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--bg-press)", color: "var(--ink)" },
  ".cm-completionDetail": { color: "var(--ink-3)", fontStyle: "normal" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--bg-press)" },
});

// What fits where the caret stands: a parameter in {{ }}, a filter after |, a tag after {%.
function complete(words) {
  return (context) => {
    const before = context.state.doc.sliceString(Math.max(0, context.pos - 400), context.pos);
    const open = Math.max(before.lastIndexOf("{{"), before.lastIndexOf("{%"));
    if (open < 0 || /\}\}|%\}/.test(before.slice(open))) return null;
    const inside = before.slice(open + 2);
    // The name of a partial: {% include "…" %}
    const quoted = before[open + 1] === "%" && /^-?\s*include\s+["'`]([^"'`]*)$/.exec(inside);
    if (quoted) return { from: context.pos - quoted[1].length, options: (words().partials ?? []).map((label) => ({ label, type: "text", detail: "partial" })) };
    const word = context.matchBefore(/[A-Za-z_][\w.]*/);
    if (!word && !context.explicit && !/[|%{]\s*$/.test(before)) return null;
    const from = word ? word.from : context.pos;
    const of = (list, type, detail) => (list ?? []).map((label) => ({ label, type, detail }));
    const lead = inside.slice(0, inside.length - (word?.text.length ?? 0));
    if (/\|\s*$/.test(lead)) return { from, options: of(words().filters, "function", "filter") };
    if (before[open + 1] === "%" && /^-?\s*$/.test(lead)) return { from, options: of(words().tags, "keyword", "tag") };
    return { from, options: of(words().parameters, "variable", "parameter") };
  };
}

function mount(textarea, { nonce, words, changed }) {
  const label = textarea.getAttribute("aria-label") ?? textarea.labels?.[0]?.textContent.trim() ?? "Template";
  const view = new EditorView({
    doc: textarea.value,
    extensions: [
      EditorView.cspNonce.of(nonce),
      lineNumbers(), history(), drawSelection(), highlightActiveLine(), bracketMatching(), closeBrackets(),
      EditorView.lineWrapping,
      template, syntaxHighlighting(looks), theme, notes,
      autocompletion({ override: [complete(words)], icons: false }),
      EditorState.readOnly.of(textarea.readOnly), EditorView.editable.of(!textarea.readOnly),
      EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "true" }),
      keymap.of([
        { key: "F8", run: nextDiagnostic }, { key: "Shift-F8", run: previousDiagnostic },
        ...completionKeymap, ...historyKeymap, ...defaultKeymap.filter((k) => !["Mod-Enter", "Mod-s"].includes(k.key)),
      ]),
      EditorView.updateListener.of((u) => {
        if (!u.docChanged) return;
        textarea.value = u.state.doc.toString();
        changed();
      }),
    ],
  });
  textarea.hidden = true;
  textarea.after(view.dom);
  const place = (p) => {
    const line = view.state.doc.line(Math.min(Math.max(p.line, 1), view.state.doc.lines));
    const from = Math.min(line.from + Math.max(p.column - 1, 0), line.to);
    // The word there, or the rest of its braces: not the whole line.
    const rest = view.state.doc.sliceString(from, line.to);
    const length = /^[\w.]+/.exec(rest)?.[0].length ?? /^.*?[}%]\}/.exec(rest)?.[0].length ?? rest.length;
    return { line, from, to: from + length };
  };
  return {
    view,
    text: () => view.state.doc.toString(),
    problems(list) {
      const marks = [];
      for (const p of list) {
        const { line, from, to } = place(p);
        marks.push(Decoration.line({ class: "line-bad" }).range(line.from));
        if (to > from) marks.push(Decoration.mark({ class: "bad" }).range(from, to));
        marks.push(Decoration.widget({ widget: new Note(p.message), block: true, side: 1 }).range(line.to));
      }
      const diagnostics = list.map((p) => ({ from: place(p).from, to: place(p).to, severity: "error", message: p.message }));
      view.dispatch(setDiagnostics(view.state, diagnostics), { effects: setNotes.of(Decoration.set(marks, true)) });
    },
    focus(p) {
      view.dispatch({ selection: { anchor: place(p).from }, scrollIntoView: true });
      view.focus();
    },
  };
}

window.ForgeEditor = { mount };
