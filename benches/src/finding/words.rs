//! Prompts of words as people use them: few of them often, most of them seldom.

use serde_json::{Value, json};

/// How many different words there are.
pub(super) const WORDS: usize = 20_000;
/// A word of every prompt of the older half of the projects, and of no other.
pub(super) const OLD: &str = "bygone";
/// Words of one prompt.
const LENGTH: usize = 180;
const SYLLABLES: [&str; 20] = [
    "ka", "re", "mo", "ti", "su", "la", "ne", "vo", "di", "pa", "shi", "gra", "ber", "tol", "min", "cas",
    "fer", "lun", "dor", "wex",
];
const TAGS: [&str; 8] = ["blue", "red", "tone", "safety", "draft", "mail", "voice", "legal"];
const AREAS: [&str; 8] = ["mail", "chat", "voice", "refund", "order", "search", "legal", "intro"];

/// The nth word, always the same.
pub(super) fn word(n: usize) -> String {
    if n == 0 {
        return "the".into();
    }
    let mut rest = n;
    let mut out = String::new();
    while rest > 0 {
        out.push_str(SYLLABLES[rest % SYLLABLES.len()]);
        rest /= SYLLABLES.len();
    }
    if out.len() < 4 { format!("{out}n") } else { out }
}

/// The next number of a generator that is the same on every machine.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Few numbers often, most of them seldom.
fn seldom(state: &mut u64) -> usize {
    let unit = next(state) as f64 / (1u64 << 31) as f64;
    ((WORDS as f64).powf(unit) as usize).saturating_sub(1).min(WORDS - 1)
}

/// The mth prompt of the nth project.
pub(super) fn prompt(n: usize, m: usize, is_old: bool) -> Value {
    let mut state = (n * 1000 + m) as u64 + 1;
    let mut text = String::from("Hello {{ name }}, the ");
    if is_old {
        text.push_str(OLD);
        text.push(' ');
    }
    for _ in 0..LENGTH {
        text.push_str(&word(seldom(&mut state)));
        text.push(' ');
    }
    let id = match m {
        42 => "mail.p0042".to_owned(),
        _ => format!("{}.{}-{m}", AREAS[m % AREAS.len()], word(seldom(&mut state))),
    };
    json!({
        "id": id,
        "description": format!("About {} and {}", word(seldom(&mut state)), word(seldom(&mut state))),
        "content": { "type": "text", "template": text },
        "parameters": [{ "name": "name", "type": "string", "required": true }],
        "tags": [TAGS[m % TAGS.len()]],
    })
}
