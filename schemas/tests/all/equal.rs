//! The guard and the short way change nothing: the text is the one that plain Tera writes.

use schemas::prompt::Prompt;
use schemas::template::{CompiledPrompt, Values};
use serde_json::{Value, json};

use crate::render::{id, parameter};

/// A small generator of numbers, the same on every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

fn values() -> Value {
    json!({
        "s": "Grüße \"quoted\" {{ x }}\n", "empty": "", "i": -42, "u": 18_446_744_073_709_551_615_u64, "f": 3.0,
        "g": -0.1, "h": 1e21, "t": true, "n": false, "l": ["a", 2, null, 2.5, ["x"]], "none": [],
        "m": {"b": 1, "a": {"c": "deep"}, "z": null},
        "rows": [{"k": "one", "v": 1, "tags": ["p", "q"]}, {"k": "two", "v": 2, "tags": []}],
        "wide": {"a1": 1, "a2": 2, "a3": 3, "a4": 4, "a5": 5, "a6": 6, "a7": 7, "a8": 8, "a9": 9, "b1": 1,
                 "b2": 2, "b3": 3, "b4": 4, "b5": 5},
    })
}

/// Parameters that take anything: an undeclared object has no bounds, so each name gets its type.
fn prompt(template: &str) -> Prompt {
    let mut prompt = Prompt::text(id("p"), template);
    let string = |name: &str| json!({"name": name, "type": "string"});
    let any = json!({"type": "object"});
    let mut declared: Vec<Value> = ["s", "empty", "missing"].into_iter().map(string).collect();
    declared.extend(["i", "u"].map(|name| json!({"name": name, "type": "integer"})));
    declared.extend(["f", "g", "h"].map(|name| json!({"name": name, "type": "number"})));
    declared.extend(["t", "n"].map(|name| json!({"name": name, "type": "boolean"})));
    declared.extend(["m", "wide"].map(|name| json!({"name": name, "type": "object"})));
    declared.push(json!({"name": "rows", "type": "list", "items": any}));
    prompt.parameters = declared.into_iter().map(parameter).collect();
    prompt
}

/// What plain Tera makes of it.
fn plain(template: &str, values: &Value) -> Result<String, String> {
    let mut tera = tera::Tera::new();
    tera.autoescape_on(Vec::<&'static str>::new());
    tera.add_raw_template("p", template).map_err(|e| e.to_string())?;
    let context = tera::Context::from_serialize(values).map_err(|e| e.to_string())?;
    tera.render("p", &context).map_err(|e| e.to_string())
}

fn hold_against(template: &str) -> bool {
    let mut given = values();
    // Lists of mixed kinds have no declaration; they are looked at through `rows` and `m`.
    let object = given.as_object_mut().unwrap();
    object.remove("l");
    object.remove("none");
    let expected = plain(template, &given);
    let ours = CompiledPrompt::compile(&prompt(template), &[]);
    let Ok(ours) = ours else {
        let errors = ours.err().unwrap();
        assert!(expected.is_err(), "{template:?} is refused: {errors:#?}");
        return false;
    };
    let shown = ours.render(&Values::from_json(given.as_object().unwrap().clone()));
    match (&expected, &shown) {
        (Ok(expected), Ok(shown)) => assert_eq!(expected, shown, "{template:?}"),
        (Err(_), Err(_)) => {}
        _ => panic!("{template:?}: Tera says {expected:?}, this says {shown:?}"),
    }
    expected.is_ok()
}

const OPENS: [&str; 3] = ["{{ ", "{{- ", "{{"];
const CLOSES: [&str; 3] = [" }}", " -}}", "}}"];
const TEXTS: [&str; 8] = ["", " ", "\n", "word", "  two  words \n", "{ a } %}", "ü\u{a0}", "{# c #}"];
const PATHS: [&str; 20] = [
    "s", "empty", "i", "u", "f", "g", "h", "t", "n", "m", "m.a", "m.a.c", "m.z", "m.b", "wide.a1", "wide.b5",
    "rows", "wide", "m.q", "missing",
];
const CONDITIONS: [&str; 16] = [
    "s",
    "empty",
    "not t",
    "n or t",
    "t and not n",
    "i == -42",
    "m.b == 1",
    "m.b != 1",
    "s == 'x'",
    "m.z is defined",
    "missing is defined",
    "missing is undefined",
    "f == 3",
    "(t)",
    "m.q",
    "not (empty or n)",
];
const ROW: [&str; 9] =
    ["r", "r.k", "r.v", "r.tags", "loop.index", "loop.index0", "loop.last", "loop.first", "loop.length"];

fn output(dice: &mut Dice, paths: &[&str]) -> String {
    format!("{}{}{}", dice.pick(&OPENS), dice.pick(paths), dice.pick(&CLOSES))
}

fn body(dice: &mut Dice, depth: usize, in_loop: bool) -> String {
    let mut out = String::new();
    for _ in 0..dice.roll(4) + 1 {
        let paths = if in_loop && dice.roll(2) == 0 { &ROW[..] } else { &PATHS[..18] };
        match dice.roll(if depth == 0 { 3 } else { 6 }) {
            0 | 1 => out.push_str(dice.pick(&TEXTS)),
            2 => out.push_str(&output(dice, paths)),
            3 => {
                let condition = dice.pick(&CONDITIONS);
                let yes = body(dice, depth - 1, in_loop);
                let no = body(dice, depth - 1, in_loop);
                out.push_str(&format!("{{%- if {condition} %}}{yes}{{% else -%}}{no}{{% endif %}}"));
            }
            4 => {
                let inner = body(dice, depth - 1, true);
                out.push_str(&format!("{{% for r in rows %}}{inner}{{% else %}}none{{% endfor -%}}"));
            }
            _ => {
                let inner = body(dice, depth - 1, in_loop);
                let target = dice.pick(&["m", "wide", "s", "m.a", "i", "m.q"]);
                let names = dice.pick(&["k, w", "w"]);
                out.push_str(&format!("{{% for {names} in {target} %}}{{{{ w }}}}{inner}{{% endfor %}}"));
            }
        }
    }
    out
}

#[test]
fn what_is_written_without_the_engine_is_what_tera_writes() {
    let mut rendered = 0;
    for seed in 0..4_000 {
        let mut dice = Dice::new(seed + 1);
        rendered += usize::from(hold_against(&body(&mut dice, 3, false)));
    }
    assert!(rendered > 1_000, "only {rendered} of them came to a text");
}

#[test]
fn what_the_guard_rewrites_is_what_tera_writes() {
    const VALUES: [&str; 24] = [
        "s",
        "i",
        "f",
        "m",
        "rows",
        "m.a",
        "rows[0]",
        "rows[-1].k",
        "m['b']",
        "s[1:3]",
        "rows[:1]",
        "s | upper",
        "rows | length",
        "s ~ i",
        "i + 2",
        "[i, s]",
        "{'a': s, ...m}",
        "[r.v for r in rows if r.v > 1]",
        "rows | sort(attribute='k')",
        "s | replace(from='e', to='E')",
        "'lit'",
        "range(end=4)",
        "s | split(pat=' ') | join(sep='-')",
        "-i",
    ];
    const TESTS: [&str; 10] = [
        "a == b",
        "a != b",
        "a in [b]",
        "a is string",
        "s is containing(pat='u')",
        "not a",
        "a and b",
        "a or b",
        "i < f",
        "s is starting_with(pat='G')",
    ];
    let mut rendered = 0;
    for seed in 0..4_000 {
        let mut dice = Dice::new(seed + 77_000);
        let (a, b) = (dice.pick(&VALUES), dice.pick(&VALUES));
        let test = dice.pick(&TESTS);
        let wrap = dice.pick(&[
            "{% set c %}{{ a }}{% endset %}{{ c }}",
            "{% filter title %}{{ s }}{% endfilter %}",
            "",
        ]);
        let template = format!(
            "{{% set a = {a} %}}{{% set b = ({b}) %}}{{{{ a }}}}|{{{{ b ~ '/' ~ a }}}}{{% if {test} %}}yes{{% else %}}no\
             {{% endif %}}{wrap}{{{{ ({a}) if t else ({b}) }}}}"
        );
        rendered += usize::from(hold_against(&template));
    }
    assert!(rendered > 1_500, "only {rendered} of them came to a text");
}

#[test]
fn plain_values_of_every_kind_are_written_as_tera_writes_them() {
    for path in PATHS {
        hold_against(&format!("<{{{{ {path} }}}}>"));
    }
    for condition in CONDITIONS {
        hold_against(&format!("{{% if {condition} %}}yes{{% else %}}no{{% endif %}}"));
    }
}
