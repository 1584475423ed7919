//! The documents name only paths and commands that exist.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use tests::tools::{binary, repo_root};

use super::tree::{files, text};

/// What a build, the tests or the demo make: named in documents, never committed.
const MADE: &[&str] = &["target/", "data/", ".tools/", "data", "target", ".tools"];

fn documents() -> Vec<String> {
    let found: Vec<_> = files()
        .into_iter()
        .filter(|f| {
            f.ends_with(".md") && !f.starts_with("examples/fabric-patterns/") && !f.starts_with("schemas/")
        })
        .filter(|f| !f.starts_with("forge-api/assets/"))
        .collect();
    for expected in [
        "README.md",
        "CHANGELOG.md",
        "docs/ARCHITECTURE.md",
        "docs/FORMATS.md",
        "docs/CONFIGURATION.md",
        "docs/SECURITY.md",
        "docs/LIBRARY.md",
    ] {
        assert!(found.iter().any(|f| f == expected), "{expected} is missing");
    }
    found
}

/// A document taken apart: code between back-ticks, lines of shell blocks, links.
struct Parts {
    code: Vec<(usize, String)>,
    shell: Vec<(usize, String)>,
    links: Vec<(usize, String)>,
}

fn parts(text: &str) -> Parts {
    let mut found = Parts { code: Vec::new(), shell: Vec::new(), links: Vec::new() };
    let mut fence: Option<String> = None;
    for (number, line) in text.lines().enumerate().map(|(i, l)| (i + 1, l)) {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language.trim().to_owned()) };
            continue;
        }
        match &fence {
            Some(language) if language == "sh" => {
                let command = line.split(" #").next().unwrap_or_default().trim();
                if !command.is_empty() && !command.starts_with('#') {
                    found.shell.push((number, command.to_owned()));
                }
            }
            Some(_) => {}
            None => {
                for word in line.split('`').skip(1).step_by(2) {
                    found.code.push((number, word.to_owned()));
                }
                // Brackets within code are no link.
                let prose: String = line.split('`').step_by(2).collect();
                for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                    found.links.push((number, link.to_owned()));
                }
            }
        }
    }
    found
}

/// Whether a word between back-ticks speaks of a file of the repository.
fn is_path(word: &str, top: &BTreeSet<String>) -> bool {
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    let first = word.split('/').next().unwrap_or_default();
    plain && !word.starts_with('/') && word.contains('/') && top.contains(first)
}

#[test]
fn every_path_in_the_documents_exists() {
    let all = files();
    let top: BTreeSet<String> = all.iter().filter_map(|f| f.split('/').next()).map(str::to_owned).collect();
    let mut looked_at = 0;
    for document in documents() {
        let folder = Path::new(&document).parent().unwrap_or(Path::new(""));
        let text = text(&document).expect("text");
        let parts = parts(&text);
        for (number, word) in parts.code.iter().filter(|(_, w)| is_path(w, &top)) {
            looked_at += 1;
            let made = MADE.iter().any(|m| word.starts_with(m));
            assert!(made || repo_root().join(word).exists(), "{document}:{number} names `{word}`");
        }
        for (number, link) in &parts.links {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            looked_at += 1;
            assert!(repo_root().join(folder).join(target).exists(), "{document}:{number} links to {link}");
        }
    }
    assert!(looked_at > 40, "only {looked_at} paths were found in the documents");
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let tests: Vec<(String, String)> = files()
        .into_iter()
        .filter(|f| f.ends_with(".rs"))
        .filter_map(|f| text(&f).map(|text| (f, text)))
        .collect();
    // A test is named by its file and its function.
    let exists = |module: &str, name: &str| {
        tests.iter().any(|(file, text)| {
            let file = Path::new(file).file_stem().is_some_and(|stem| stem == module);
            file && [format!("fn {name}("), format!("fn {name}<")].iter().any(|line| text.contains(line))
        })
    };
    let mut looked_at = 0;
    let text = text("docs/SECURITY.md").expect("text");
    for (number, word) in parts(&text).code {
        let Some((module, name)) = word.split_once("::") else { continue };
        looked_at += 1;
        assert!(exists(module, name), "docs/SECURITY.md:{number}: there is no test {word}");
    }
    assert!(looked_at > 50, "only {looked_at} tests were found in the document");
}

#[test]
fn every_command_in_the_documents_exists() {
    let mut looked_at = 0;
    for document in documents() {
        let text = text(&document).expect("text");
        let parts = parts(&text);
        for (number, line) in parts.shell.iter().chain(&parts.code) {
            for command in line.split(" && ").flat_map(|c| c.split(" | ")) {
                looked_at += usize::from(check(command, &format!("{document}:{number}")));
            }
        }
    }
    assert!(looked_at > 20, "only {looked_at} commands were found in the documents");
}

#[test]
fn every_command_of_the_stack_s_files_exists() {
    let made = text("Makefile").expect("text");
    let recipes =
        made.lines().filter(|l| l.starts_with('\t')).map(|l| l.trim_start_matches(['\t', '@', '-']));
    let mut looked_at = 0;
    for command in recipes {
        let command = command.replace("$(DEMO_BIN)/", "").replace("$(CARGO)", "cargo");
        looked_at += usize::from(check(&command, "Makefile"));
    }
    assert!(looked_at > 3, "only {looked_at} commands were found in the Makefile");
}

/// Checks one command; false where it is none of ours.
fn check(command: &str, place: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().skip_while(|w| is_assignment(w)).collect();
    let Some((program, arguments)) = words.split_first() else { return false };
    match *program {
        "make" => {
            let made = text("Makefile").expect("text");
            for target in arguments.iter().filter(|a| !a.contains('=') && !a.starts_with('-')) {
                let known = made.lines().any(|l| l.starts_with(&format!("{target}:")));
                assert!(known, "{place}: `make {target}` is not in the Makefile");
            }
            true
        }
        "forge" | "live" if !arguments.is_empty() => {
            help(program, arguments, place);
            true
        }
        script if script.starts_with("scripts/") || script.starts_with(".ci/") => {
            assert!(repo_root().join(script).is_file(), "{place}: {script} is not there");
            true
        }
        "cargo" => {
            let packages = arguments.windows(2).filter(|pair| pair[0] == "-p").map(|pair| pair[1]);
            for package in packages {
                let manifest = files()
                    .into_iter()
                    .filter(|f| f.ends_with("Cargo.toml"))
                    .any(|f| text(&f).is_some_and(|t| t.contains(&format!("name = \"{package}\""))));
                assert!(manifest, "{place}: there is no crate {package}");
            }
            true
        }
        _ => false,
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    })
}

/// The program itself must know the subcommand and every flag.
fn help(program: &str, arguments: &[&str], place: &str) {
    let path: Vec<&str> = arguments
        .iter()
        .copied()
        .take_while(|a| a.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !a.starts_with('-'))
        .collect();
    let run = |path: &[&str]| {
        let done = Command::new(binary(program)).args(path).arg("--help").output().expect("the program runs");
        (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (known, text) = run(&path);
    assert!(known, "{place}: `{program} {}` is not a command", path.join(" "));
    for flag in arguments.iter().filter(|a| a.starts_with("--")) {
        let name = flag.split('=').next().unwrap_or(flag).trim_end_matches([',', '.', ')']);
        assert!(text.contains(name), "{place}: `{program} {}` knows no {name}", path.join(" "));
    }
}
