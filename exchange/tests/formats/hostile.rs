//! Archives and templates that mean harm.

use std::io::{Cursor, Write as _};
use std::time::Duration;

use exchange::files::{FILES_MAX, UPLOAD_MAX, unpack};
use exchange::{Content, Format, read};
use nix::time::ClockId;
use schemas::PromptId;
use schemas::prompt::{Engine, Partial, Prompt};
use schemas::template::SOURCE_MAX;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn code(bytes: &[u8]) -> &'static str {
    unpack("x.zip", bytes).map(|files| panic!("taken: {:?}", files.keys())).unwrap_err().code
}

#[test]
fn no_path_leaves_the_archive() {
    for path in ["../a.md", "a/../../b.md", "/etc/a.md", "C:/a.md", "a\\b.md", "a//b.md", "a/\u{7}.md"] {
        assert_eq!(code(&zip(&[(path, b"x")])), "bad_path", "{path}");
    }
    let deep = format!("{}a.md", "d/".repeat(40));
    assert_eq!(code(&zip(&[(&deep, b"x")])), "bad_path");
}

#[test]
fn links_are_refused() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("a.md", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    assert_eq!(code(&zip.finish().unwrap().into_inner()), "bad_path");
}

#[test]
fn two_files_of_one_name_are_refused_however_they_are_spelled() {
    assert_eq!(code(&zip(&[("a.md", b"x"), ("A.md", b"y")])), "duplicate");
    assert_eq!(code(&zip(&[("a/b.md", b"x"), ("a/./b.md", b"y")])), "duplicate");
    // The same name to the letter: one entry's name is changed behind the writer's back.
    let mut bytes = zip(&[("aa.md", b"x"), ("ab.md", b"y")]);
    for at in 0..bytes.len() - 5 {
        if &bytes[at..at + 5] == b"ab.md" {
            bytes[at + 1] = b'a';
        }
    }
    assert_eq!(code(&bytes), "duplicate");
    // Other names, one id.
    let same = zip(&[("a b.md", b"x"), ("a-b.md", b"y")]);
    assert_eq!(read(None, "x.zip", &same).unwrap_err().code, "duplicate");
}

#[test]
fn bombs_and_crowds_are_refused() {
    let zeros = vec![b'0'; 12 * 1024 * 1024];
    assert_eq!(code(&zip(&[("a.md", &zeros)])), "too_large");
    assert_eq!(code(&vec![b'a'; UPLOAD_MAX + 1]), "too_large");
    let names: Vec<String> = (0..=FILES_MAX).map(|n| format!("{n}.md")).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b"x"[..])).collect();
    assert_eq!(code(&zip(&entries)), "too_large");
    assert_eq!(unpack("x.zip", &zip(&entries[1..])).unwrap().len(), FILES_MAX);
}

#[test]
fn a_damaged_archive_is_refused_at_every_byte() {
    let whole = zip(&[("a.md", b"Hello {{ name }}"), ("b.md", b"again and again and again")]);
    for end in 4..whole.len() {
        assert!(unpack("x.zip", &whole[..end]).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        // Some bytes mean nothing; none may bring anything down.
        let _ = read(None, "x.zip", &bytes);
    }
}

#[test]
fn nothing_that_is_written_brings_a_reader_down() {
    let pieces = [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{",
        "}",
        "#if a",
        "/if",
        "else",
        "each x",
        "|",
        "\"",
        "'",
        "-",
        "~",
        "\\",
        "for a in b",
        "endfor",
        "if x",
        "endif",
        "raw",
        "endraw",
        "case x",
        "when 1",
        "role \"system\"",
        "history",
        "é",
        "\n",
        " ",
        "a",
        ".",
        "=",
        ">p",
        "^x",
        "!c",
    ];
    let mut seed = 7u64;
    for _ in 0..300 {
        let mut text = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
        }
        for (name, file) in files(&text) {
            let Ok(found) = read(None, name, file.as_bytes()) else { continue };
            for format in Format::ALL {
                let _ = exchange::write(format, "x", &found.content);
            }
        }
    }
}

/// So many of it, which is more than any stack bears.
const MANY: usize = 20_000;
/// So many of it, which is little enough to be read.
const SOME: usize = 3_000;
/// What takes long is held against a part of it, so many times smaller.
const PARTS: usize = 8;
/// So many times as long as its part the whole may take. It is 8 times in proportion, and 64 times for who counts
/// something again and again: three times away from both.
const LONGER: u32 = 24;
/// Who takes less of a processor than this is held against nothing.
const SHORT: Duration = Duration::from_secs(5);

fn nested(open: &str, close: &str, count: usize) -> String {
    format!("{}x{}", open.repeat(count), close.repeat(count))
}

/// A template in a file of each language.
fn files(template: &str) -> Vec<(&'static str, String)> {
    let quoted = serde_json::to_string(template).unwrap();
    let chain =
        |format: &str| format!(r#"{{"_type":"prompt","template":{quoted},"template_format":"{format}"}}"#);
    vec![
        ("a.md", template.to_owned()),
        ("a.prompt", template.to_owned()),
        ("a.prompty", template.to_owned()),
        ("a.liquid", template.to_owned()),
        ("a.json", chain("f-string")),
        ("a.json", chain("mustache")),
        ("a.json", format!(r#"{{"name":"a","type":"text","prompt":{quoted}}}"#)),
    ]
}

/// How long a processor was at work: neither other work nor the speed of the machine decides what is long.
fn spent(work: impl FnOnce()) -> Duration {
    let now = || Duration::from(ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap());
    let began = now();
    work();
    now().saturating_sub(began)
}

/// Holds what takes long against its part, which is only then looked at.
fn in_proportion(what: &str, whole: Duration, part: impl FnOnce() -> Duration) {
    if whole > SHORT {
        let part = part();
        assert!(whole < part * LONGER, "{what} took {whole:?}, and one of {PARTS} parts of it {part:?}");
    }
}

/// A draft may hold what is wrong.
fn draft(template: &str, engine: Engine) -> Content {
    let id = PromptId::new("a").unwrap();
    let partials = vec![Partial { name: id.clone(), source: template.to_owned() }];
    Content { prompts: vec![Prompt { engine, ..Prompt::text(id, template) }], partials }
}

/// Reads and writes what is made: the whole for 1, one of so many parts for more.
fn survives(make: &dyn Fn(usize) -> String) {
    let template = make(1);
    let shown: String = template.chars().take(40).collect();
    for (at, (name, file)) in files(&template).into_iter().enumerate() {
        // Whatever comes of it, it is an answer.
        let reading = |file: &str| spent(|| drop(read(None, name, file.as_bytes())));
        in_proportion(&format!("{shown} in {name}"), reading(&file), || reading(&files(&make(PARTS))[at].1));
    }
    for engine in [Engine::Tera, Engine::Plain] {
        // Nothing longer is ever saved.
        if engine == Engine::Plain && template.len() > SOURCE_MAX {
            continue;
        }
        let whole = draft(&template, engine);
        for format in Format::ALL {
            let writing = |content: &Content| spent(|| drop(exchange::write(format, "x", content)));
            in_proportion(&format!("{shown} as {format:?}"), writing(&whole), || {
                writing(&draft(&make(PARTS), engine))
            });
        }
    }
}

#[test]
fn what_takes_longer_than_in_proportion_is_noticed() {
    let part = SHORT / 2;
    let held = |whole: Duration| std::panic::catch_unwind(|| in_proportion("it", whole, || part));
    assert!(held(part * 8).is_ok(), "in proportion");
    assert!(held(part * 64).is_err(), "the square");
    let mut sum = 0_u64;
    let busy = spent(|| {
        for n in 0..10_000_000_u64 {
            sum = sum.wrapping_mul(31).wrapping_add(std::hint::black_box(n));
        }
    });
    assert!(busy > Duration::ZERO && sum != 0);
}

#[test]
fn blocks_nested_without_end_are_an_answer() {
    for (open, close) in [
        ("{% if a %}", "{% endif %}"),
        ("{% for a in b %}", "{% endfor %}"),
        ("{% if a %}{% else %}", "{% endif %}"),
        ("{% set a %}", "{% endset %}"),
        ("{% filter upper %}", "{% endfilter %}"),
        ("{% raw %}", "{% endraw %}"),
        ("{% unless a %}", "{% endunless %}"),
        ("{% case a %}{% when 1 %}", "{% endcase %}"),
        ("{% capture a %}", "{% endcapture %}"),
        ("{% comment %}", "{% endcomment %}"),
        ("{{#if a}}", "{{/if}}"),
        ("{{#unless a}}{{else}}", "{{/unless}}"),
        ("{{#each a}}", "{{/each}}"),
        ("{{#with a}}", "{{/with}}"),
        ("{{#a}}", "{{/a}}"),
        ("{{^a}}", "{{/a}}"),
        ("{a", "}"),
    ] {
        for count in [SOME, MANY] {
            survives(&|part| nested(open, close, count / part));
        }
    }
}

#[test]
fn expressions_nested_without_end_are_an_answer() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("a[", "]"),
        ("(1..", ")"),
        ("not ", ""),
        ("-", ""),
        ("a | f(x=", ")"),
        ("a|", ""),
        ("a and ", ""),
        ("a ~ ", ""),
        ("a.", ""),
        ("../", ""),
        ("\"", "\""),
        ("a if b else ", ""),
    ] {
        for count in [SOME, MANY] {
            let inner = |part: usize| nested(open, close, count / part);
            survives(&|part| format!("{{{{ {} }}}}", inner(part)));
            survives(&|part| format!("{{% if {} %}}a{{% endif %}}", inner(part)));
            survives(&|part| format!("{{{{#if {}}}}}a{{{{/if}}}}", inner(part)));
        }
    }
}

#[test]
fn a_file_without_depth_takes_a_time_in_proportion() {
    let many = |text: &'static str, count: usize| move |part: usize| text.repeat(count / part);
    let name = many("n", 100_000);
    survives(&many("{{a}} ", 100_000));
    survives(&many("{{a}}\n", 40_000));
    survives(&many("{a} ", 60_000));
    survives(&many("{% if a %}b{% endif %}\n", 10_000));
    survives(&|part| many("{{", 120_000)(part) + "}}");
    survives(&|part| many("{{\n", 80_000)(part) + "}}");
    survives(&|part| many("{{", 60_000)(part) + &many(" ", 100_000)(part) + "}}");
    survives(&many("${env:", 40_000));
    survives(&|part| format!("{{{{#with {}}}}}{}{{{{/with}}}}", name(part), many("{{x}}", 20_000)(part)));
    survives(&|part| {
        let values = many("1,", 60_000)(part);
        format!("{{% case {} %}}{{% when {values}1 %}}a{{% endcase %}}", name(part))
    });
    survives(&|part| format!("{{{{ a {}}}}}", many("| default: 1 ", 15_000)(part)));
    survives(&many("x", 4_000_000));
}

#[test]
fn a_template_that_is_too_long_or_too_deep_says_so() {
    let why = |name: &str, template: &str| {
        let found = read(None, name, template.as_bytes()).unwrap();
        assert_eq!(found.content.prompts[0].engine, Engine::Plain);
        found.notes.into_iter().map(|note| note.why).collect::<Vec<_>>().join("\n")
    };
    for (name, tag) in [("w.prompt", "{{a}} "), ("w.liquid", "{{a}} "), ("w.md", "{{ a }} ")] {
        let why = why(name, &tag.repeat(100_000));
        assert!(why.contains("bytes; at most 262144 are allowed"), "{name}: {why}");
    }
    for (name, open, close) in [
        ("d.prompt", "{{#if a}}", "{{/if}}"),
        ("d.liquid", "{% if a %}", "{% endif %}"),
        ("d.prompty", "{% if a %}", "{% endif %}"),
        ("d.md", "{% if a %}", "{% endif %}"),
    ] {
        let why = why(name, &nested(open, close, 2_000));
        assert!(why.contains("nested more than"), "{name}: {why}");
    }
    // What a template may have is still converted.
    let bound = schemas::template::BLOCKS_MAX;
    for (name, open, close) in
        [("e.prompt", "{{#if a}}", "{{/if}}"), ("e.liquid", "{% if a %}", "{% endif %}")]
    {
        let found = read(None, name, nested(open, close, bound).as_bytes()).unwrap();
        assert_eq!(found.content.prompts[0].engine, Engine::Tera, "{:?}", found.notes);
        let found = read(None, name, nested(open, close, bound + 1).as_bytes()).unwrap();
        assert_eq!(found.content.prompts[0].engine, Engine::Plain);
    }
}

#[test]
fn thousands_of_remarks_are_told_as_some_and_their_number() {
    let files = [
        ("a.liquid", "{{ a | default: 1 }}\n".repeat(3_000)),
        ("a.txt", (0..3_000).map(|at| format!("${{env:A{at}}}")).collect()),
    ];
    for (name, template) in files {
        let found = read(None, name, template.as_bytes()).unwrap();
        assert!((100..110).contains(&found.notes.len()), "{name}: {}", found.notes.len());
        assert!(found.notes.iter().any(|note| note.why.contains("more")), "{name}");
    }
}

#[test]
fn a_place_is_named_by_its_line_behind_any_number_of_lines() {
    let template = format!("{}{{{{a}}}}\n{{{{#nope}}}}", "line\n".repeat(10));
    let found = read(None, "a.prompt", template.as_bytes()).unwrap();
    assert_eq!(found.notes[0].place, "a.prompt, line 12");
    let template = format!("{}{{{{ a }}}}\n{{% nope %}}", "line\n".repeat(10));
    let found = read(None, "a.liquid", template.as_bytes()).unwrap();
    assert_eq!(found.notes[0].place, "a.liquid, line 12");
}

#[test]
fn values_nested_without_end_are_an_answer() {
    for text in [
        "[".repeat(MANY),
        nested("[", "]", MANY),
        nested("{\"a\":", "}", MANY),
        format!("---\na: {}\n---\nx", nested("[", "]", MANY)),
        format!("---\na: {}\n---\nx", nested("{a: ", "}", MANY)),
        format!("---\n{}\n---\nx", "- ".repeat(MANY)),
    ] {
        for name in ["a.md", "a.json", "a.prompt", "a.prompty", "a.yaml", "a.yml"] {
            let _ = read(None, name, text.as_bytes());
        }
    }
}
