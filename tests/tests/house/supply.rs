//! Where what is built comes from: one registry, with checksums, and no build script of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use tests::tools::repo_root;

use super::tree::{files, text};

/// The only place that dependencies come from, as cargo writes it. Written apart: no file names a registry.
fn registry() -> String {
    ["registry+https://github.com/rust-lang/", "crates", ".io", "-index"].concat()
}

fn metadata(arguments: &[&str]) -> Value {
    let done = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(arguments)
        .current_dir(repo_root())
        .output()
        .expect("cargo runs");
    assert!(done.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("JSON")
}

/// One package of a lock file.
#[derive(Debug, Default)]
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// The packages of a lock file. It is written by cargo, one member a line.
fn locked(file: &str) -> Vec<Locked> {
    let text = text(file).expect("text");
    let mut packages = Vec::new();
    for block in text.split("[[package]]").skip(1) {
        let member = |name: &str| {
            let start = format!("{name} = \"");
            let line = block.lines().find(|line| line.starts_with(&start))?;
            Some(line.strip_prefix(&start)?.trim_end_matches('"').to_owned())
        };
        packages.push(Locked {
            name: member("name").expect("a name"),
            version: member("version").expect("a version"),
            source: member("source"),
            checksum: member("checksum"),
        });
    }
    packages
}

#[test]
fn every_dependency_comes_from_the_one_registry_with_its_checksum() {
    let ours: BTreeSet<String> = metadata(&["--no-deps"])["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| package["name"].as_str().expect("a name").to_owned())
        .collect();
    let locks: Vec<String> = files().into_iter().filter(|f| f.ends_with("Cargo.lock")).collect();
    assert!(locks.iter().any(|f| f == "Cargo.lock"));
    for file in locks {
        let packages = locked(&file);
        assert!(packages.len() > 20, "{file} lists {} packages", packages.len());
        for package in packages {
            match &package.source {
                Some(source) => {
                    assert_eq!(*source, registry(), "{file}: {}", package.name);
                    let sum = package.checksum.unwrap_or_default();
                    assert_eq!(sum.len(), 64, "{file}: {} has no checksum", package.name);
                }
                None => assert!(
                    ours.contains(&package.name) || package.name == "fuzz",
                    "{file}: {} comes from nowhere",
                    package.name
                ),
            }
        }
    }
    let configured: Vec<String> = files().into_iter().filter(|f| f.contains(".cargo/")).collect();
    assert!(configured.is_empty(), "{configured:?} may turn cargo to another registry");
}

#[test]
fn no_crate_of_ours_runs_anything_while_it_is_built() {
    let packages = metadata(&["--no-deps"]);
    let mut looked_at = 0;
    for package in packages["packages"].as_array().expect("packages") {
        for target in package["targets"].as_array().expect("targets") {
            looked_at += 1;
            let kinds = target["kind"].to_string();
            let name = &package["name"];
            assert!(!kinds.contains("custom-build"), "{name} has a build script");
            assert!(!kinds.contains("proc-macro"), "{name} is a macro that runs in the compiler");
        }
    }
    assert!(looked_at > 20, "only {looked_at} targets were found");
    let scripts: Vec<String> = files().into_iter().filter(|f| f.ends_with("/build.rs")).collect();
    assert!(scripts.is_empty(), "{scripts:?}");
}

/// The packages from outside that a crate is built with on some system, by name and version.
fn built_with(metadata: &Value, name: &str) -> BTreeSet<(String, String)> {
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| (package["id"].as_str().expect("an id"), package))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| (node["id"].as_str().expect("an id"), node))
        .collect();
    let start = packages.iter().find(|(_, p)| p["name"] == name).expect("the crate").0;
    let (mut seen, mut open) = (BTreeSet::from([*start]), vec![*start]);
    while let Some(id) = open.pop() {
        for dependency in nodes[id]["deps"].as_array().expect("deps") {
            let kinds = dependency["dep_kinds"].as_array().expect("kinds");
            let id = dependency["pkg"].as_str().expect("an id");
            if kinds.iter().any(|kind| kind["kind"] != "dev") && seen.insert(id) {
                open.push(id);
            }
        }
    }
    seen.into_iter()
        .map(|id| packages[id])
        .map(|p| (p["name"].as_str().unwrap().to_owned(), p["version"].as_str().unwrap().to_owned()))
        .filter(|(found, _)| found != name)
        .collect()
}

#[test]
#[ignore = "`make sbom` writes the bills of materials, and runs this"]
fn the_bill_of_materials_lists_every_locked_crate_once_with_licence_and_checksum() {
    let metadata = metadata(&[]);
    let sums: BTreeMap<(String, String), Option<String>> =
        locked("Cargo.lock").into_iter().map(|p| ((p.name, p.version), p.checksum)).collect();
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo_root().join("target"), Into::into);
    for (program, name) in [("forge", "forge-api"), ("live", "live-agent")] {
        let file = folder.join(format!("sbom/{program}.cdx.json"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let bill: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
        assert_eq!(bill["metadata"]["component"]["name"], name);
        let mut listed = BTreeSet::new();
        for component in bill["components"].as_array().expect("components") {
            let word = |member: &str| component[member].as_str().expect("text").to_owned();
            let key = (word("name"), word("version"));
            assert!(listed.insert(key.clone()), "{program}: {key:?} is listed twice");
            let licences = component["licenses"].as_array().expect("licences");
            assert!(!licences.is_empty(), "{program}: {key:?} has no licence");
            let expected = sums.get(&key).unwrap_or_else(|| panic!("{program}: {key:?} is not locked"));
            let hash = component["hashes"][0]["content"].as_str();
            assert_eq!(hash, expected.as_deref(), "{program}: {key:?}");
            assert!(hash.is_none() || component["hashes"][0]["alg"] == "SHA-256");
        }
        let expected = built_with(&metadata, name);
        assert!(expected.len() > 100, "{} crates", expected.len());
        let missing: Vec<_> = expected.difference(&listed).collect();
        let strange: Vec<_> = listed.difference(&expected).collect();
        assert!(
            missing.is_empty() && strange.is_empty(),
            "{program}: missing {missing:?}, strange {strange:?}"
        );
    }
}
