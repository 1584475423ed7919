//! Archives and templates that mean harm.

use std::io::{Cursor, Write as _};

use exchange::files::{FILES_MAX, UPLOAD_MAX, unpack};
use exchange::read;
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
            for format in exchange::Format::ALL {
                let _ = exchange::write(format, "x", &found.content);
            }
        }
    }
}

/// So many of it, which is more than any stack bears.
const MANY: usize = 20_000;
/// So many of it, which is little enough to be read.
const SOME: usize = 3_000;
/// Whoever needs longer for one file counts something again and again.
const LONG: std::time::Duration = std::time::Duration::from_secs(20);

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

fn survives(template: &str) {
    let shown: String = template.chars().take(40).collect();
    for (name, file) in files(template) {
        let began = std::time::Instant::now();
        // Whatever comes of it, it is an answer.
        let _ = read(None, name, file.as_bytes());
        assert!(began.elapsed() < LONG, "{shown} in {name} took {:?}", began.elapsed());
    }
    // A draft may hold what is wrong.
    let id = schemas::PromptId::new("a").unwrap();
    let mut prompt = schemas::prompt::Prompt::text(id.clone(), template);
    let partial = schemas::prompt::Partial { name: id, source: template.to_owned() };
    for engine in [schemas::prompt::Engine::Tera, schemas::prompt::Engine::Plain] {
        // Nothing longer is ever saved.
        if engine == schemas::prompt::Engine::Plain && template.len() > schemas::template::SOURCE_MAX {
            continue;
        }
        prompt.engine = engine;
        let content = exchange::Content { prompts: vec![prompt.clone()], partials: vec![partial.clone()] };
        for format in exchange::Format::ALL {
            let began = std::time::Instant::now();
            let _ = exchange::write(format, "x", &content);
            assert!(began.elapsed() < LONG, "{shown} as {format:?} took {:?}", began.elapsed());
        }
    }
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
            survives(&nested(open, close, count));
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
            let inner = nested(open, close, count);
            survives(&format!("{{{{ {inner} }}}}"));
            survives(&format!("{{% if {inner} %}}a{{% endif %}}"));
            survives(&format!("{{{{#if {inner}}}}}a{{{{/if}}}}"));
        }
    }
}

#[test]
fn a_file_without_depth_takes_a_time_in_proportion() {
    let name = "n".repeat(100_000);
    let spaces = " ".repeat(100_000);
    for template in [
        "{{a}} ".repeat(100_000),
        "{{a}}\n".repeat(40_000),
        "{a} ".repeat(60_000),
        "{% if a %}b{% endif %}\n".repeat(10_000),
        "{{".repeat(120_000) + "}}",
        "{{\n".repeat(80_000) + "}}",
        "{{".repeat(60_000) + &spaces + "}}",
        "${env:".repeat(40_000),
        format!("{{{{#with {name}}}}}{}{{{{/with}}}}", "{{x}}".repeat(20_000)),
        format!("{{% case {name} %}}{{% when {}1 %}}a{{% endcase %}}", "1,".repeat(60_000)),
        format!("{{{{ a {}}}}}", "| default: 1 ".repeat(15_000)),
        "x".repeat(4_000_000),
    ] {
        survives(&template);
    }
}

#[test]
fn a_template_that_is_too_long_or_too_deep_says_so() {
    let why = |name: &str, template: &str| {
        let found = read(None, name, template.as_bytes()).unwrap();
        assert_eq!(found.content.prompts[0].engine, schemas::prompt::Engine::Plain);
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
        assert_eq!(found.content.prompts[0].engine, schemas::prompt::Engine::Tera, "{:?}", found.notes);
        let found = read(None, name, nested(open, close, bound + 1).as_bytes()).unwrap();
        assert_eq!(found.content.prompts[0].engine, schemas::prompt::Engine::Plain);
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
