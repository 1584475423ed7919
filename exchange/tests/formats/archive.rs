//! Our own archive: written, read back, and not believed where its digests do not bear it out.

use std::collections::BTreeMap;

use exchange::archive::{
    Alias, Archive, Change, Locked, LockedDependency, PartialChange, Requirement, Set, VERSION, VariableSet,
    Version, place,
};
use exchange::files::{Files, pack, unpack};
use exchange::{Content, Format, read, read_archive};
use schemas::bundle::{Bundle, Dependency};
use schemas::canonical::{Digest, to_canonical};
use schemas::prompt::{Partial, Prompt};
use schemas::{PromptId, Slug};
use serde_json::{Value, json};

const AT: &str = "2026-01-01T00:00:00Z";

fn id(text: &str) -> PromptId {
    PromptId::new(text).unwrap()
}

fn slug(text: &str) -> Slug {
    Slug::new(text).unwrap()
}

/// A version of a set that takes in what is named.
fn version(set: &str, number: &str, text: &str, taken: &[(&str, &Version)]) -> Version {
    let embedded = taken.iter().map(|(set, version)| {
        let bundle = Bundle::from_body(&version.body).unwrap();
        schemas::template::embed(&slug(set), &bundle.partials)
    });
    let partials: Vec<Partial> = embedded.flatten().collect();
    let dependency = |(set, version): &(&str, &Version)| Dependency {
        set: slug(set),
        requirement: "^1".into(),
        version: version.locked.version.clone(),
        digest: version.locked.digest,
    };
    let bundle = Bundle {
        schema_version: 1,
        organisation: slug("acme"),
        project: slug("support"),
        set: slug(set),
        version: number.parse().unwrap(),
        prompts: vec![Prompt::text(id("welcome"), text)],
        partials: if taken.is_empty() {
            vec![Partial { name: id("sign"), source: "Yours".into() }]
        } else {
            partials
        },
        dependencies: taken.iter().map(dependency).collect(),
    };
    let body = bundle.into_body().unwrap();
    let locked = Locked {
        version: number.parse().unwrap(),
        digest: Digest::of(&body),
        content: Some(place::content(&body).unwrap()),
        kind: "locked".into(),
        notes: "why".into(),
        author: "ada".into(),
        approver: Some("bo".into()),
        created_at: AT.into(),
        dependencies: taken
            .iter()
            .map(|(set, version)| LockedDependency {
                set: slug(set),
                requirement: "^1".into(),
                version: version.locked.version.clone(),
                digest: version.locked.digest,
                content: version.locked.content,
            })
            .collect(),
        imported: None,
    };
    Version { locked, body }
}

fn set(name: &str, versions: Vec<Version>) -> Set {
    let newest = versions[0].locked.version.clone();
    Set {
        slug: slug(name),
        name: name.to_uppercase(),
        description: String::new(),
        tags: vec!["a b".into()],
        archived: false,
        draft: Content {
            prompts: vec![Prompt::text(id("welcome"), "Hello")],
            partials: vec![Partial { name: id("sign"), source: "Yours".into() }],
        },
        dependencies: Vec::new(),
        aliases: vec![Alias { name: slug("stable"), version: newest, protected: true }],
        variable_sets: vec![VariableSet {
            prompt: id("welcome"),
            name: "usual".into(),
            values: json!({ "name": "Ada" }).as_object().unwrap().clone(),
            history: serde_json::Map::new(),
        }],
        versions,
        history: vec![Change {
            prompt: id("welcome"),
            revision: 1,
            author: "ada".into(),
            created_at: AT.into(),
            message: "first".into(),
            renamed_from: None,
            body: Some(Prompt::text(id("welcome"), "Hello")),
        }],
        partial_history: vec![PartialChange {
            partial: id("sign"),
            revision: 1,
            author: "ada".into(),
            created_at: AT.into(),
            message: String::new(),
            renamed_from: Some(id("signature")),
            source: None,
        }],
    }
}

/// Two sets, of which one takes partials from the other.
fn archive() -> Archive {
    let tone = version("tone", "1.0.0+a.b", "Be kind", &[]);
    let chat = version("chat", "2.0.0", "Hello", &[("tone", &tone)]);
    let mut using = set("chat", vec![chat]);
    using.dependencies = vec![Requirement { set: slug("tone"), requirement: "^1".into() }];
    let sets = vec![using, set("tone", vec![tone])];
    Archive { version: VERSION, organisation: "acme".into(), project: "support".into(), sets }
}

fn files() -> Files {
    unpack("a.zip", &archive().write().unwrap()).unwrap()
}

/// Changes a file and tells `forge.json` its new digest, as who forges an archive would.
fn forged(change: impl FnOnce(&mut Files)) -> Files {
    let mut files = files();
    change(&mut files);
    let mut head: Value = serde_json::from_slice(&files["forge.json"]).unwrap();
    let digests: BTreeMap<String, String> = files
        .iter()
        .filter(|(path, _)| *path != "forge.json")
        .map(|(path, bytes)| (path.clone(), Digest::of(bytes).to_string()))
        .collect();
    head["files"] = json!(digests);
    files.insert("forge.json".into(), to_canonical(&head).unwrap());
    files
}

/// Changes the JSON of a file, and tells `forge.json`.
fn rewritten(path: &str, change: impl FnOnce(&mut Value)) -> Files {
    forged(|files| {
        let mut value: Value = serde_json::from_slice(&files[path]).unwrap();
        change(&mut value);
        files.insert(path.into(), to_canonical(&value).unwrap());
    })
}

fn refused(files: &Files) -> &'static str {
    Archive::read(files).map(|_| ()).unwrap_err().code
}

#[test]
fn an_archive_reads_back_and_is_written_as_the_same_bytes() {
    let archive = archive();
    let bytes = archive.write().unwrap();
    let (found, notes) = read_archive("support.zip", &bytes).unwrap();
    assert_eq!((&found, notes.len()), (&archive, 0));
    assert_eq!(found.write().unwrap(), bytes);
    // Of several sets none is read as the one that is meant.
    assert_eq!(read(None, "support.zip", &bytes).unwrap_err().code, "many_sets");
    let one = Archive { sets: archive.sets[1..].to_vec(), ..archive };
    let found = read(None, "tone.zip", &one.write().unwrap()).unwrap();
    assert_eq!((found.format, &found.archive), (Format::Archive, &Some(one.clone())));
    assert_eq!(found.content, one.sets[0].draft);
}

#[test]
fn an_archive_that_somebody_changed_is_refused() {
    let version = "sets/tone/versions/1.0.0+a.b.json";
    let mut changed = files();
    changed.get_mut(version).unwrap().push(b' ');
    assert_eq!(refused(&changed), "file_changed");
    let mut less = files();
    less.remove("sets/chat/history.json");
    assert_eq!(refused(&less), "unreadable");
    let mut more = files();
    more.insert("sets/chat/extra.json".into(), Vec::new());
    assert_eq!(refused(&more), "unreadable");
    let mut newer = files();
    let head = String::from_utf8(newer["forge.json"].clone()).unwrap();
    newer.insert("forge.json".into(), head.replace("\"version\":2", "\"version\":3").into_bytes());
    assert_eq!(refused(&newer), "too_new");
}

#[test]
fn a_lock_file_that_does_not_tell_what_the_versions_are_is_refused() {
    assert!(Archive::read(&forged(|_| ())).is_ok());
    let other = Digest::of(b"other").to_string();
    let version = "sets/tone/versions/1.0.0+a.b.json";
    let lock = "sets/tone/lock.json";
    let text = |text: &str| json!({ "type": "text", "template": text });
    for (what, files) in [
        ("content", rewritten(version, |v| v["prompts"][0]["content"] = text("Be rude"))),
        ("place", rewritten(version, |v| v["organisation"] = json!("other"))),
        ("digest", rewritten(lock, |v| v["versions"][0]["digest"] = json!(other))),
        ("content digest", rewritten(lock, |v| v["versions"][0]["content"] = json!(other))),
        ("kind", rewritten(lock, |v| v["versions"][0]["kind"] = json!("approved"))),
        ("dependency", rewritten("sets/chat/lock.json", |v| v["versions"][0]["dependencies"] = json!([]))),
        (
            "content of a dependency",
            rewritten("sets/chat/lock.json", |v| {
                v["versions"][0]["dependencies"][0]["content"] = json!(other);
            }),
        ),
        (
            "missing dependency",
            forged(|files| {
                files.insert(lock.into(), br#"{"versions":[]}"#.to_vec());
                files.insert("sets/tone/aliases.json".into(), br#"{"aliases":[]}"#.to_vec());
            }),
        ),
    ] {
        let code = refused(&files);
        assert!(matches!(code, "file_changed" | "unreadable"), "{what}: {code}");
    }
    let aliases = rewritten("sets/tone/aliases.json", |v| v["aliases"][0]["version"] = json!("9.9.9"));
    assert_eq!(refused(&aliases), "unreadable");
    let twice = rewritten("sets/tone/variables.json", |v| {
        let one = v["variable_sets"][0].clone();
        v["variable_sets"].as_array_mut().unwrap().push(one);
    });
    assert_eq!(refused(&twice), "duplicate");
}

#[test]
fn the_content_of_a_version_is_the_same_in_every_place() {
    let archive = archive();
    let chat = &archive.sets[0].versions[0];
    let tone = &archive.sets[1].versions[0];
    let moved_tone = place::moved(&tone.body, "other", "sales", "tone", &BTreeMap::new()).unwrap();
    assert_ne!(Digest::of(&moved_tone), tone.locked.digest);
    assert_eq!(place::content(&moved_tone).unwrap(), tone.locked.content.unwrap());
    let digests = BTreeMap::from([("tone".to_owned(), Digest::of(&moved_tone))]);
    let moved = place::moved(&chat.body, "other", "sales", "chat", &digests).unwrap();
    let bundle = Bundle::from_body(&moved).unwrap();
    assert_eq!((bundle.organisation.as_str(), bundle.project.as_str()), ("other", "sales"));
    assert_eq!(bundle.dependencies[0].digest, digests["tone"]);
    assert_eq!(place::content(&moved).unwrap(), chat.locked.content.unwrap());
    assert_eq!(bundle.into_body().unwrap(), moved, "the bytes are canonical");
    // Back again, to the letter.
    let back = BTreeMap::from([("tone".to_owned(), tone.locked.digest)]);
    assert_eq!(place::moved(&moved, "acme", "support", "chat", &back).unwrap(), chat.body);
    assert!(place::moved(&chat.body, "other", "sales", "chat", &BTreeMap::new()).is_err());
}

#[test]
fn an_archive_of_the_first_format_is_read_for_its_draft() {
    let mut old = rewritten("sets/tone/lock.json", |v| {
        v["versions"][0].as_object_mut().unwrap().remove("content");
    });
    old.retain(|path, _| {
        path == "forge.json"
            || (path.contains("/tone/") && !path.contains("aliases") && !path.contains("variables"))
    });
    let digests: BTreeMap<&String, String> = old
        .iter()
        .filter(|(path, _)| *path != "forge.json")
        .map(|(path, bytes)| (path, Digest::of(bytes).to_string()))
        .collect();
    let head = json!({
        "format": "anvil.archive", "version": 1, "organisation": "acme", "project": "support",
        "sets": [{ "slug": "tone", "name": "Tone", "description": "" }], "files": digests,
    });
    old.insert("forge.json".into(), to_canonical(&head).unwrap());
    let found = read(None, "tone.zip", &pack(&old).unwrap()).unwrap();
    assert_eq!(found.content, archive().sets[1].draft);
    assert!(!found.archive.unwrap().is_whole());
    assert!(found.notes.iter().any(|note| note.what == "versions"), "{:?}", found.notes);
}
