//! Files of other tools, and drafts that are given out for them.

use std::time::{Duration, Instant};

use exchange::{Content, Format};
use schemas::PromptId;
use schemas::prompt::{Engine, Partial, Prompt};
use schemas::template::check;

use super::{mode, seed};

/// Far more than any of them takes, even without optimisation, watched by a fuzzer, and beside other work on a slow
/// machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a file is called, by its mode; beyond them the bytes are the template of a draft.
const NAMES: [&str; 6] = ["a.md", "a.prompt", "a.prompty", "a.liquid", "a.json", "a.zip"];

pub(super) fn seeds() -> Vec<Vec<u8>> {
    [
        (0, "---\ndescription: A greeting\n---\nHello {{ name }}"),
        (1, "---\nmodel: m\n---\n{{#if a}}{{#each b}}{{this}} {{@index}}{{/each}}{{else}}{{c.d}}{{/if}}"),
        (2, "---\nname: a\n---\nsystem:\n{% for x in y %}{{ x }}{% endfor %}\n\nuser:\n{{ z }}"),
        (3, "{% assign a = b | upcase %}{% case c %}{% when 1, 2 %}x{% else %}{{ a | default: 1 }}{% endcase %}"),
        (3, "{% unless a %}{% for i in (1..3) %}{{ forloop.index }}{% endfor %}{% endunless %}"),
        (4, r#"{"_type":"prompt","template":"{{#a}}{{.}}{{/a}}","template_format":"mustache"}"#),
        (4, r#"{"_type":"prompt","template":"Hello {name} {{x}}","template_format":"f-string"}"#),
        (4, r#"[{"name":"a","type":"text","prompt":"Hello {{name}} {{ no }}","config":{},"version":1}]"#),
        (6, "{% if a and not b %}{{ c.d[0] | upper }}{% elif e == 1 %}{% include \"p\" %}{% endif %}"),
    ]
    .into_iter()
    .map(|(mode, text)| seed(mode, text.as_bytes()))
    .collect()
}

pub(super) fn body(data: &[u8]) {
    let (mode, rest) = mode(data, 7);
    let started = Instant::now();
    match NAMES.get(usize::from(mode)) {
        Some(name) => try_file(name, rest),
        None => give_out(&draft(&String::from_utf8_lossy(rest))),
    }
    assert!(started.elapsed() < PATIENCE, "it takes {:?}", started.elapsed());
}

/// It is refused, or what was converted can be rendered, and is given out again.
fn try_file(name: &str, bytes: &[u8]) {
    let Ok(found) = exchange::read(None, name, bytes) else { return };
    // A folder and an archive hold drafts as they are.
    if !matches!(found.format, Format::Folder | Format::Archive) {
        for prompt in found.content.prompts.iter().filter(|prompt| prompt.engine == Engine::Tera) {
            let wrong = check(prompt, &found.content.partials).into_iter().find(|error| !error.is_warning());
            assert_eq!(wrong, None, "{name} was converted to what is wrong: {prompt:?}");
        }
    }
    give_out(&found.content);
}

fn draft(source: &str) -> Content {
    let id = |name: &str| PromptId::new(name).expect("an id");
    let partials = vec![Partial { name: id("p"), source: source.to_owned() }];
    Content { prompts: vec![Prompt::text(id("a"), source)], partials }
}

fn give_out(content: &Content) {
    for format in Format::ALL {
        // What a format cannot say it refuses.
        let _ = exchange::write(format, "a", content);
    }
}
