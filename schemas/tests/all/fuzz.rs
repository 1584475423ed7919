//! No source panics, hangs or grows beyond its bounds, whatever it is made of.

use std::time::{Duration, Instant};

use schemas::prompt::Prompt;
use schemas::template::{CompiledPrompt, OUTPUT_MAX, Values, check, extract};
use serde_json::json;

use crate::equal::Dice;
use crate::render::{id, parameter, partial};

const WORDS: [&str; 86] = [
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "{{-",
    "-}}",
    "{%-",
    "-%}",
    "if",
    "elif",
    "else",
    "endif",
    "for",
    "in",
    "endfor",
    "set",
    "set_global",
    "endset",
    "filter",
    "endfilter",
    "include",
    "raw",
    "endraw",
    "break",
    "continue",
    "extends",
    "block",
    "endblock",
    "component",
    "a",
    "b",
    "loop",
    "loop.index",
    "x",
    "list",
    "map",
    "__tera_context",
    "true",
    "none",
    "not",
    "and",
    "or",
    "is",
    "|",
    "~",
    "+",
    "-",
    "*",
    "/",
    "//",
    "**",
    "%",
    "==",
    "!=",
    "<",
    ">",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "=",
    ".",
    "...",
    "?.",
    "?[",
    "'s'",
    "\"q\"",
    "`b`",
    "1",
    "2.5",
    "upper",
    "replace",
    "join",
    "sort",
    "range",
    "(end=3)",
    "(from='a', to=x)",
    "\n",
    "ü",
    "\\",
];

const STATEMENTS: [&str; 14] = [
    "{% for a in list %}",
    "{% endfor %}",
    "{% if x %}",
    "{% elif list %}",
    "{% else %}",
    "{% endif %}",
    "{% set b = a %}",
    "{% set b %}",
    "{% endset %}",
    "{{ b ~ x }}",
    "{% filter upper %}",
    "{% endfilter %}",
    "{% include 'p' %}",
    "{{ list[a] | default(value=x) }}",
];

fn one(source: &str) {
    let mut prompt = Prompt::text(id("fuzz"), source);
    prompt.parameters = vec![
        parameter(json!({"name": "x", "type": "string"})),
        parameter(json!({"name": "list", "type": "list", "items": {"type": "integer"}})),
        parameter(json!({"name": "map", "type": "object"})),
        parameter(json!({"name": "a", "type": "integer", "default": 1})),
        parameter(json!({"name": "b", "type": "string"})),
    ];
    let partials = [partial("p", "{% for q in list %}{{ q }}{% endfor %}")];
    let started = Instant::now();
    let _ = extract(source);
    for error in check(&prompt, &partials) {
        assert!(error.line >= 1 && error.column >= 1, "{error}");
        assert!(error.line <= source.lines().count() + 1, "{error} {source:?}");
    }
    if let Ok(compiled) = CompiledPrompt::compile(&prompt, &partials) {
        let values = json!({"x": "text {{ x }}", "list": [1, 2, 3], "map": {"k": [1]}, "b": "b"});
        if let Ok(text) = compiled.render(&Values::from_json(values.as_object().unwrap().clone())) {
            assert!(text.len() <= OUTPUT_MAX);
        }
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{source:?} took {:?}", started.elapsed());
}

#[test]
fn no_heap_of_words_panics_or_hangs() {
    for seed in 0..15_000 {
        let mut dice = Dice::new(seed + 1);
        let mut source = String::new();
        for _ in 0..dice.roll(40) {
            source.push_str(dice.pick(&WORDS));
            if dice.roll(3) > 0 {
                source.push(' ');
            }
        }
        one(&source);
    }
}

#[test]
fn no_expression_panics_or_hangs() {
    for seed in 0..15_000 {
        let mut dice = Dice::new(seed + 500_000);
        let mut source = "{{ ".to_owned();
        for _ in 0..dice.roll(14) + 1 {
            // From the names on: what stands inside of a tag.
            source.push_str(dice.pick(&WORDS[31..]));
            source.push(' ');
        }
        source.push_str("}}");
        one(&source);
    }
}

#[test]
fn no_heap_of_statements_panics_or_hangs() {
    for seed in 0..6_000 {
        let mut dice = Dice::new(seed + 900_000);
        let source: String = (0..dice.roll(30)).map(|_| dice.pick(&STATEMENTS)).collect();
        one(&source);
    }
}

#[test]
fn no_bytes_panic_or_hang() {
    const CHARS: [&str; 16] =
        ["{", "}", "%", "#", "-", "'", "\"", "\\", " ", "\n", "a", "|", "(", ")", "\u{0}", "\u{1f600}"];
    for seed in 0..15_000 {
        let mut dice = Dice::new(seed + 2_000_000);
        let source: String = (0..dice.roll(60)).map(|_| dice.pick(&CHARS)).collect();
        one(&source);
    }
}
