//! A folder in a repository and the draft of a set in a FORGE elsewhere: `forge push`, `pull` and `diff`.
//!
//! `forge.toml` names project and set; `forge.lock` holds what both sides were when they last met, so that a
//! change of one side is told from a change of both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use exchange::files::{self, Files};
use exchange::{Content, Digests, folder};
use forge_api::request::{Answer, Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};
use similar::TextDiff;

use crate::arguments::Remote;

/// It differs.
const DIFFERS: u8 = 1;
/// Nothing was done: the other side refused, or what is there would be lost.
const REFUSED: u8 = 2;
/// What was asked for cannot be understood: no set, no address, no token.
const USAGE: u8 = 64;
/// No FORGE answers.
const UNAVAILABLE: u8 = 69;
/// Folders within one another that are looked into.
const DEPTH_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Push,
    Pull,
    Diff,
}

/// Why nothing was done, and the exit code for it.
pub(crate) struct Failed {
    pub(crate) code: u8,
    pub(crate) why: anyhow::Error,
}

type Result<T> = std::result::Result<T, Failed>;

fn failed(code: u8) -> impl FnOnce(anyhow::Error) -> Failed {
    move |why| Failed { code, why }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    url: Option<String>,
    /// organisation/project
    project: Option<String>,
    set: Option<String>,
}

/// Where the other side is.
struct There {
    url: String,
    token: String,
    ca: Option<String>,
    project: String,
    set: String,
}

impl There {
    fn of(asked: &Remote) -> anyhow::Result<Self> {
        let path = asked.directory.join(folder::MANIFEST);
        let manifest: Manifest = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?,
            Err(_) => Manifest::default(),
        };
        let (project, set) = match &asked.set {
            Some(path) => {
                let (project, set) =
                    path.rsplit_once('/').context("--set: write organisation/project/set")?;
                (Some(project.to_owned()), Some(set.to_owned()))
            }
            None => (manifest.project, manifest.set),
        };
        let missing = format!("say --set organisation/project/set, or project and set in {}", path.display());
        let project = project.filter(|p| p.split('/').count() == 2).with_context(|| missing.clone())?;
        let ca = match &asked.ca {
            Some(path) => {
                Some(std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?)
            }
            None => None,
        };
        Ok(Self {
            url: asked
                .url
                .clone()
                .or(manifest.url)
                .context("say where FORGE is: FORGE_URL, --url, or url in forge.toml")?,
            token: asked
                .token
                .clone()
                .filter(|t| !t.is_empty())
                .context("say an API token in FORGE_TOKEN")?,
            ca,
            project: project.replacen('/', ":", 1),
            set: set.filter(|s| !s.is_empty()).context(missing)?,
        })
    }

    async fn ask(&self, request: Request) -> Result<Answer> {
        let answer = request.bearer(self.token.trim()).send_to(&self.url, self.ca.clone()).await;
        let answer = answer.map_err(|e| Failed { code: UNAVAILABLE, why: e.into() })?;
        if answer.status < 300 {
            return Ok(answer);
        }
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let detail = problem["detail"].as_str().map_or_else(|| answer.text(), str::to_owned);
        let conflicts = problem["conflicts"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let conflicts = conflicts.fold(String::new(), |all, one| format!("{all}\n  {one}"));
        let why = anyhow!("FORGE answers {}: {detail}{conflicts}", answer.status);
        Err(Failed { code: if answer.status >= 500 { UNAVAILABLE } else { REFUSED }, why })
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/projects/{}/sets/{}{rest}", self.project, self.set)
    }

    /// The draft, as the files that it would be here.
    async fn draft(&self) -> Result<Content> {
        let answer = self.ask(Request::new(Method::Get, &self.path("/export?format=folder"))).await?;
        let read = || -> anyhow::Result<Content> {
            let files = files::unpack("export.zip", &answer.body)?;
            Ok(folder::read(&files, &mut Vec::new())?)
        };
        read().context("reading what FORGE sent").map_err(failed(REFUSED))
    }
}

/// Does it, and gives the exit code.
pub(crate) async fn run(verb: Verb, asked: &Remote) -> Result<u8> {
    let there = There::of(asked).map_err(failed(USAGE))?;
    let here = Here::of(&asked.directory).map_err(failed(REFUSED))?;
    match verb {
        Verb::Push => push(asked, &there, &here).await,
        Verb::Pull => pull(asked, &there, &here).await,
        Verb::Diff => diff(asked, &there, &here).await,
    }
}

/// The folder.
struct Here {
    /// Prompts, partials and the two files of ours.
    files: Files,
    content: Content,
    base: Option<Digests>,
}

impl Here {
    fn of(directory: &Path) -> anyhow::Result<Self> {
        let mut files = Files::new();
        for part in ["prompts", "partials"] {
            walk(directory, &directory.join(part), 0, &mut files)?;
        }
        // It may be missing; the layout is this one all the same.
        files.insert(folder::MANIFEST.into(), Vec::new());
        let lock = directory.join(folder::LOCK);
        if lock.is_file() {
            let bytes = std::fs::read(&lock).with_context(|| format!("reading {}", lock.display()))?;
            files.insert(folder::LOCK.into(), bytes);
        }
        let content = folder::read(&files, &mut Vec::new())?;
        let base = folder::base(&files)?;
        Ok(Self { files, content, base })
    }
}

fn walk(root: &Path, directory: &Path, depth: usize, files: &mut Files) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(()) };
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    for path in paths {
        let meta = std::fs::symlink_metadata(&path)?;
        anyhow::ensure!(!meta.is_symlink(), "{} is a link; only files are pushed", path.display());
        let name = path.strip_prefix(root).unwrap_or(&path);
        let name = name.iter().map(|p| p.to_string_lossy()).collect::<Vec<_>>().join("/");
        if meta.is_dir() {
            anyhow::ensure!(depth < DEPTH_MAX, "{} is nested too deep", path.display());
            walk(root, &path, depth + 1, files)?;
        } else if folder::is_text(&name) {
            let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            files.insert(name, bytes);
        }
    }
    Ok(())
}

async fn push(asked: &Remote, there: &There, here: &Here) -> Result<u8> {
    let existing = if asked.force { "replace" } else { "careful" };
    let zip = files::pack(&here.files).map_err(|e| Failed { code: REFUSED, why: e.into() })?;
    let path = there.path(&format!("/imports?format=folder&name=push.zip&existing={existing}&others=remove"));
    let answer = there.ask(Request::new(Method::Post, &path).bytes(zip, "application/zip")).await?;
    let plan: Value =
        serde_json::from_slice(&answer.body).map_err(|e| Failed { code: REFUSED, why: e.into() })?;
    let count = |change: &str| plan["counts"][change].as_u64().unwrap_or(0);
    let writes = count("new") + count("changed") + count("removed");
    if count("conflict") > 0 {
        report(asked, &plan);
        let why = anyhow!("changed here and in FORGE since they last met; pull, or push with --force");
        return Err(Failed { code: REFUSED, why });
    }
    if writes > 0 {
        let id = plan["id"].as_str().unwrap_or_default();
        let body = json!({ "digest": plan["digest"], "existing": existing, "others": "remove" });
        let apply = Request::new(Method::Post, &there.path(&format!("/imports/{id}/apply"))).json(&body);
        there.ask(apply).await?;
    }
    put(&asked.directory.join(folder::LOCK), &lock(&here.content)?)?;
    report(asked, &plan);
    Ok(0)
}

fn lock(content: &Content) -> Result<String> {
    folder::lock(content).map_err(|e| Failed { code: REFUSED, why: e.into() })
}

fn put(path: &Path, text: &str) -> Result<()> {
    let write = || -> anyhow::Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        }
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    };
    write().map_err(failed(REFUSED))
}

/// What the plan of a push says.
fn report(asked: &Remote, plan: &Value) {
    if asked.json {
        println!("{}", json!({ "counts": plan["counts"], "items": plan["items"], "notes": plan["notes"] }));
        return;
    }
    let mut told = 0;
    for item in plan["items"].as_array().into_iter().flatten() {
        let change = item["change"].as_str().unwrap_or_default();
        if !matches!(change, "unchanged" | "kept") {
            println!("{change:9} {}", item["name"].as_str().unwrap_or_default());
            told += 1;
        }
    }
    if told == 0 {
        println!("nothing to push");
    }
}

/// How each part differs: only here, only there, or another text.
fn differences(here: &Content, there: &Content) -> BTreeMap<String, &'static str> {
    let (ours, theirs) = (here.digests(), there.digests());
    let mut out = BTreeMap::new();
    for (name, digest) in &ours {
        match theirs.get(name) {
            None => drop(out.insert(name.clone(), "here")),
            Some(other) if other != digest => drop(out.insert(name.clone(), "differs")),
            Some(_) => {}
        }
    }
    out.extend(theirs.keys().filter(|n| !ours.contains_key(*n)).map(|n| (n.clone(), "there")));
    out
}

async fn diff(asked: &Remote, there: &There, here: &Here) -> Result<u8> {
    let draft = there.draft().await?;
    let found = differences(&here.content, &draft);
    if asked.json {
        println!("{}", json!({ "differs": !found.is_empty(), "items": found }));
    } else {
        let text =
            |content: &Content| folder::write(content).map_err(|e| Failed { code: REFUSED, why: e.into() });
        let (ours, theirs) = (text(&here.content)?, text(&draft)?);
        for name in found.keys() {
            let file = format!("{name}.md");
            let of = |files: &Files| files.get(&file).map(|b| String::from_utf8_lossy(b).into_owned());
            let (old, new) = (of(&theirs).unwrap_or_default(), of(&ours).unwrap_or_default());
            let lines = TextDiff::from_lines(old.as_str(), new.as_str());
            print!("{}", lines.unified_diff().header(&format!("forge/{file}"), &format!("here/{file}")));
        }
    }
    Ok(if found.is_empty() { 0 } else { DIFFERS })
}

async fn pull(asked: &Remote, there: &There, here: &Here) -> Result<u8> {
    let draft = there.draft().await?;
    let (ours, theirs) = (here.content.digests(), draft.digests());
    let base = here.base.clone().unwrap_or_default();
    // What was changed here and would be lost: neither what both sides had, nor what is there now.
    let changed = |name: &String| {
        let (mine, known) = (ours.get(name), base.get(name));
        mine != known && mine != theirs.get(name)
    };
    let lost: Vec<&String> = ours.keys().chain(base.keys()).filter(|n| changed(n)).collect();
    if !lost.is_empty() && !asked.force {
        let names = lost.iter().fold(String::new(), |all, one| format!("{all}\n  {one}"));
        let why = anyhow!("changed here and not pushed; push it, or pull with --force to lose it:{names}");
        return Err(Failed { code: REFUSED, why });
    }
    let found = differences(&here.content, &draft);
    let files = folder::write(&draft).map_err(|e| Failed { code: REFUSED, why: e.into() })?;
    for path in here.files.keys().filter(|p| p.starts_with("prompts/") || p.starts_with("partials/")) {
        if !files.contains_key(path) {
            let path = asked.directory.join(path);
            std::fs::remove_file(&path)
                .with_context(|| format!("removing {}", path.display()))
                .map_err(failed(REFUSED))?;
        }
    }
    for (path, bytes) in &files {
        if here.files.get(path) != Some(bytes) {
            put(&asked.directory.join(path), &String::from_utf8_lossy(bytes))?;
        }
    }
    let manifest = asked.directory.join(folder::MANIFEST);
    if !manifest.is_file() {
        let project = there.project.replacen(':', "/", 1);
        put(&manifest, &format!("project = \"{project}\"\nset = \"{}\"\n", there.set))?;
    }
    put(&asked.directory.join(folder::LOCK), &lock(&draft)?)?;
    if asked.json {
        println!("{}", json!({ "items": found }));
    } else if found.is_empty() {
        println!("nothing to pull");
    } else {
        for (name, how) in &found {
            println!(
                "{:9} {name}",
                match *how {
                    "here" => "removed",
                    "there" => "new",
                    _ => "changed",
                }
            );
        }
    }
    Ok(0)
}
