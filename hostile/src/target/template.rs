//! Sources of templates, from bytes, words and statements.

use std::time::{Duration, Instant};

use schemas::PromptId;
use schemas::parameter::Parameter;
use schemas::prompt::{Partial, Prompt};
use schemas::template::{CompiledPrompt, OUTPUT_MAX, Values, check, extract};
use serde_json::{Value, json};

use super::{mode, seed};

/// Far more than any of them takes, even without optimisation, watched by a fuzzer, and beside other work on a slow
/// machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What templates are made of.
const WORDS: &[&str] = &[
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

const STATEMENTS: &[&str] = &[
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

/// Whole files of real prompts.
const REAL: [&[u8]; 3] = [
    include_bytes!("../../../examples/fabric-patterns/agility_story/system.md"),
    include_bytes!("../../../examples/fabric-patterns/analyze_answers/system.md"),
    b"Dear {{ x }},{% for q in list %}{% if loop.last %} and {% endif %}{{ q | abs }}{% endfor %}{{ map.k | join(sep='-') }}",
];

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let all = |words: &[&str]| (0..u8::try_from(words.len()).unwrap_or(u8::MAX)).collect::<Vec<u8>>();
    let mut seeds: Vec<Vec<u8>> = REAL.iter().map(|source| seed(0, source)).collect();
    seeds.push(seed(1, &all(WORDS)));
    seeds.push(seed(2, &all(STATEMENTS)));
    // Short ones: an output with a subscript and a filter, and a condition.
    seeds.push(seed(1, &[0, 37, 60, 76, 61, 45, 83, 1]));
    seeds.push(seed(1, &[2, 10, 31, 3, 0, 32, 1, 2, 13, 3]));
    seeds.push(seed(2, &[0, 13, 1, 2, 9, 5]));
    seeds.push(seed(3, &[4, 14, 45, 50, 6]));
    seeds
}

/// A word for each byte.
fn spelled(bytes: &[u8], words: &[&str], between: &str) -> String {
    let words: Vec<&str> =
        bytes.iter().filter_map(|b| words.get(usize::from(*b) % words.len()).copied()).collect();
    words.join(between)
}

pub(super) fn body(data: &[u8]) {
    let (mode, rest) = mode(data, 4);
    let source = match mode {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => spelled(rest, WORDS, " "),
        2 => spelled(rest, STATEMENTS, ""),
        // From the names on: what stands inside of a tag.
        _ => format!("{{{{ {} }}}}", spelled(rest, WORDS.get(31..).unwrap_or(WORDS), " ")),
    };
    try_source(&source);
}

fn parameters() -> Vec<Parameter> {
    let declared = json!([
        {"name": "x", "type": "string"},
        {"name": "list", "type": "list", "items": {"type": "integer"}},
        {"name": "map", "type": "object"},
        {"name": "a", "type": "integer", "default": 1},
        {"name": "b", "type": "string"},
    ]);
    serde_json::from_value(declared).expect("parameters")
}

/// It is refused at a place that there is, or renders within its bounds, and the same each time.
fn try_source(source: &str) {
    let mut prompt = Prompt::text(PromptId::new("fuzz").expect("an id"), source);
    prompt.parameters = parameters();
    let name = PromptId::new("p").expect("an id");
    let partials = [Partial { name, source: "{% for q in list %}{{ q }}{% endfor %}".into() }];
    let started = Instant::now();
    let _ = extract(source);
    let found = check(&prompt, &partials);
    for error in &found {
        assert!(error.line >= 1 && error.column >= 1, "{error}");
        assert!(error.line <= source.lines().count() + 1, "{error} {source:?}");
    }
    if let Ok(compiled) = CompiledPrompt::compile(&prompt, &partials) {
        assert!(found.iter().all(|e| e.is_warning()), "an editor complains of what compiles: {found:?}");
        let given = json!({"x": "text {{ x }}", "list": [1, 2, 3], "map": {"k": [1]}, "b": "b"});
        let Value::Object(given) = given else { return };
        let values = Values::from_json(given);
        let text = compiled.render(&values);
        if let Ok(text) = &text {
            assert!(text.len() <= OUTPUT_MAX);
        }
        assert_eq!(compiled.render(&values), text, "{source:?} renders in two ways");
    }
    assert!(started.elapsed() < PATIENCE, "{source:?} took {:?}", started.elapsed());
}
