//! Which crate may use which.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use tests::tools::repo_root;

/// The edges of the design, in the order of the line. What is not here is not allowed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("exchange", &["schemas"]),
    ("models", &[]),
    ("nats-config", &["schemas"]),
    ("publisher", &["nats-config", "schemas"]),
    ("forge-api", &["exchange", "models", "nats-config", "publisher", "schemas"]),
    ("live-agent", &["nats-config", "schemas"]),
    ("hostile", &["exchange", "nats-config", "publisher", "schemas"]),
    ("tests", &["live-agent", "nats-config", "publisher", "schemas"]),
    ("benches", &["hostile", "live-agent", "nats-config", "publisher", "schemas", "tests"]),
    ("example-service", &["live-agent"]),
];

/// What a crate must never take from outside, and why.
const NEVER: &[(&str, &[&str], &str)] = &[
    (
        "schemas",
        &["tokio", "async-nats", "futures", "rand", "reqwest", "nix", "tempfile", "tracing"],
        "it is pure: no I/O, no async, no clock, no randomness",
    ),
    (
        "models",
        &["axum", "diesel", "diesel-async", "libsqlite3-sys", "tracing"],
        "it knows nothing of FORGE, and logs nothing of what it carries",
    ),
    (
        "exchange",
        &["tokio", "futures", "rand", "reqwest", "nix", "tempfile", "tracing", "diesel", "axum"],
        "it is pure: bytes in, prompts and a report out",
    ),
    ("publisher", &["diesel", "diesel-async", "libsqlite3-sys", "axum"], "it knows no database and no web"),
    (
        "live-agent",
        &["diesel", "diesel-async", "libsqlite3-sys", "reqwest"],
        "it lives in somebody else's process",
    ),
];

struct Crate {
    /// Crates of this workspace that it is built with.
    inside: BTreeSet<String>,
    /// Crates from elsewhere that it is built with.
    outside: BTreeSet<String>,
}

fn workspace() -> BTreeMap<String, Crate> {
    let done = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(repo_root())
        .output()
        .expect("cargo runs");
    assert!(done.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&done.stderr));
    let metadata: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let names: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    packages
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().expect("dependencies");
            // Tests may look at more than what is shipped: those are not edges.
            let (inside, outside) = used
                .iter()
                .filter(|d| d["kind"].as_str() != Some("dev"))
                .filter_map(|d| d["name"].as_str().map(str::to_owned))
                .partition(|name| names.contains(name.as_str()));
            (package["name"].as_str().expect("a name").to_owned(), Crate { inside, outside })
        })
        .collect()
}

#[test]
fn crates_depend_on_each_other_only_as_the_design_allows() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ALLOWED.iter().map(|(name, edges)| (*name, edges.iter().copied().collect())).collect();
    let workspace = workspace();
    for (name, found) in &workspace {
        let edges = allowed.get(name.as_str()).unwrap_or_else(|| panic!("crate {name} is not in the design"));
        for used in &found.inside {
            assert!(edges.contains(used.as_str()), "{name} must not depend on {used}");
        }
    }
    for name in allowed.keys() {
        assert!(workspace.contains_key(*name), "the design names crate {name}, which is not there");
    }
}

#[test]
fn crates_take_nothing_from_outside_that_their_purpose_forbids() {
    let workspace = workspace();
    for (name, forbidden, why) in NEVER {
        let found = &workspace.get(*name).unwrap_or_else(|| panic!("crate {name} is not there")).outside;
        for dependency in *forbidden {
            assert!(!found.contains(*dependency), "{name} must not use {dependency}: {why}");
        }
    }
}

#[test]
fn the_library_of_the_agent_alone_has_no_program_and_no_web_server() {
    let root = tests::tools::repo_root();
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "-p", "live-agent", "--no-default-features"])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names");
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("async-nats"), "{tree}");
    for heavy in ["axum", "clap", "hyper", "opentelemetry", "reqwest", "toml", "tracing-subscriber"] {
        assert!(!names.contains(heavy), "a service that takes the library alone gets {heavy}");
    }
}

#[test]
fn versions_of_dependencies_stand_only_in_the_root() {
    // The fuzz targets are no part of the workspace: they need another compiler.
    let outside = |file: &str| file.starts_with("fuzz/");
    for file in super::tree::files().iter().filter(|f| f.ends_with("/Cargo.toml") && !outside(f)) {
        let text = super::tree::text(file).expect("text");
        let mut in_dependencies = false;
        for (number, line) in text.lines().enumerate().map(|(i, l)| (i + 1, l.trim())) {
            if line.starts_with('[') {
                in_dependencies = line.ends_with("dependencies]");
            } else if in_dependencies && !line.is_empty() && !line.starts_with('#') {
                let (name, how) = line.split_once('=').unwrap_or((line, ""));
                let inherits = name.trim().ends_with(".workspace") || how.contains("workspace = true");
                assert!(inherits, "{file}:{number}: {line}: say `workspace = true`");
            }
        }
        assert!(text.contains("[lints]\nworkspace = true"), "{file} does not take the workspace's lints");
    }
}
