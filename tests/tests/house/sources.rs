//! What sources, and all files, may not say.

use super::tree::{code, files, sources, stem, text};

/// Parts of subjects, streams and accounts. Only `nats-config` spells them.
const SUBJECTS: &[&str] = &[
    "$JS.",
    "$SYS.",
    "FJS.",
    "_INBOX",
    ".ctl.",
    ".bundle.",
    ".status.",
    ".enroll.",
    "forge.*",
    "forge.{",
    "\"FORGE_{",
    "AGENTS_",
    ".bundle\"",
    ".heartbeat\"",
];

/// What a text between quotes must look like to be one of those: a format or a subject, no sentence.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2).filter(|literal| !literal.contains(' '))
}

#[test]
fn only_nats_config_spells_a_subject() {
    let mut spelled = Vec::new();
    for (file, text) in sources() {
        // The harness plays the stranger who tries what is not allowed.
        if file.starts_with("nats-config/") || file.starts_with("tests/") {
            continue;
        }
        for (number, line) in code(&text) {
            for literal in literals(line) {
                let quoted = format!("\"{literal}\"");
                if SUBJECTS.iter().any(|part| quoted.contains(part)) {
                    spelled.push(format!("{file}:{number}: {quoted}"));
                }
            }
        }
    }
    assert!(spelled.is_empty(), "these belong into nats-config:\n{}", spelled.join("\n"));
}

#[test]
fn rows_of_the_database_never_derive_serde() {
    let mut looked_at = 0;
    for (file, text) in sources() {
        if !file.starts_with("forge-api/src/database") {
            continue;
        }
        looked_at += 1;
        for (number, line) in code(&text) {
            let derives = line.contains("derive(") || line.trim_start().starts_with("use serde::");
            let serde =
                line.contains("Serialize") || line.contains("Deserialize") || line.contains("JsonSchema");
            assert!(!(derives && serde), "{file}:{number}: a row is no promise of compatibility: {line}");
        }
    }
    assert!(looked_at > 3, "the modules of the database were not found");
}

#[test]
fn only_the_edge_speaks_http() {
    let inside = ["author", "review", "lock", "publish", "relay", "fleet", "credential", "audit", "database"];
    let mut looked_at = 0;
    for (file, text) in sources() {
        let Some(module) = file.strip_prefix("forge-api/src/") else { continue };
        let first = module.split(['/', '.']).next().unwrap_or_default();
        if !inside.contains(&first) {
            continue;
        }
        looked_at += 1;
        for (number, line) in code(&text) {
            assert!(!line.contains("axum::"), "{file}:{number}: the domain knows no HTTP: {line}");
        }
    }
    assert!(looked_at > 10, "the modules of the domain were not found");
}

#[test]
fn nothing_on_a_path_that_serves_a_caller_can_panic_by_a_careless_word() {
    let mut careless = Vec::new();
    for (file, text) in sources() {
        let serves = file.starts_with("schemas/src") || file.starts_with("live-agent/src");
        // A program's own `main` may end the program.
        if !serves || file.starts_with("live-agent/src/bin") || stem(&file) == "tests" {
            continue;
        }
        for (number, line) in code(&text) {
            let words = [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("];
            // A parser's own `expect`, which gives a `Result`, is none of those.
            let own = line.contains("self.expect(");
            if words.iter().any(|word| line.contains(word)) && !own {
                careless.push(format!("{file}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(careless.is_empty(), "the agent lives inside somebody else's process:\n{}", careless.join("\n"));
}

#[test]
fn modules_are_named_after_the_domain() {
    for file in files().iter().filter(|f| f.ends_with(".rs")) {
        assert!(!file.ends_with("/mod.rs"), "{file}: say foo.rs + foo/");
        for name in ["util", "utils", "helper", "helpers", "common", "manager", "misc"] {
            assert_ne!(stem(file), name, "{file}: name it after what it is about");
        }
    }
}

#[test]
fn nothing_is_left_to_do() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    for file in files().iter().filter(|f| f.ends_with(".rs") || f.ends_with(".html") || f.ends_with(".md")) {
        // The patterns are other people's words.
        if file.starts_with("examples/fabric-patterns/") {
            continue;
        }
        let text = text(file).unwrap_or_default();
        for (number, line) in text.lines().enumerate().map(|(i, l)| (i + 1, l)) {
            for mark in &marks {
                assert!(!line.contains(mark.as_str()), "{file}:{number}: {line}");
            }
        }
    }
}

#[test]
fn no_file_names_a_registry_or_a_path_of_one_machine() {
    // Written apart, so that this file does not name them either.
    let forbidden: Vec<String> = [
        ["py", "pi.org"],
        ["python", "hosted.org"],
        ["crates", ".io"],
        ["npm", "js.org"],
        ["npm", "js.com"],
        ["proxy.go", "lang.org"],
        ["docker", ".io"],
        ["hub.do", "cker.com"],
        ["gh", "cr.io"],
        ["quay", ".io"],
        ["/wo", "rk/main"],
        ["/wo", "rk/shared"],
        ["/tmp/", "brief"],
        ["/ro", "ot/"],
    ]
    .iter()
    .map(|parts| parts.concat())
    .collect();
    for file in files() {
        // A lock file is cargo's, which writes where each crate comes from.
        if file.ends_with("Cargo.lock") {
            continue;
        }
        let Some(text) = text(&file) else { continue };
        for (number, line) in text.lines().enumerate().map(|(i, l)| (i + 1, l)) {
            for name in &forbidden {
                let start = line.find(name.as_str()).unwrap_or(0).saturating_sub(40);
                let part: String = line.chars().skip(start).take(120).collect();
                assert!(!line.contains(name.as_str()), "{file}:{number} names {name}: {part}");
            }
        }
    }
}

#[test]
fn no_secret_is_committed() {
    // The banners and prefixes of nkeys seeds: S, then the kind. Fixtures that are marked as such may hold test keys.
    let seed = |word: &str| {
        word.len() == 58
            && ["SU", "SA", "SO", "SN", "SC"].iter().any(|p| word.starts_with(p))
            && word.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
    };
    for file in files() {
        if file.starts_with("schemas/fixtures/") {
            continue;
        }
        let Some(text) = text(&file) else { continue };
        for (number, line) in text.lines().enumerate().map(|(i, l)| (i + 1, l)) {
            let found = line.split(|c: char| !c.is_ascii_alphanumeric()).any(seed);
            assert!(!found, "{file}:{number} holds the seed of a key");
        }
    }
}
