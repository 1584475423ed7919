//! A folder in a repository and the draft of a set in a FORGE elsewhere: `forge push`, `pull` and `diff`.
//!
//! `forge.toml` names project and set; `forge.lock` holds what both sides were when they last met, so that a
//! change of one side is told from a change of both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use exchange::files::{self, Files};
use exchange::{Content, Digests, Note, folder};
use forge_api::request::{Answer, Method, Request};
use schemas::prompt::Partial;
use schemas::template;
use serde::Deserialize;
use serde_json::{Value, json};
use similar::TextDiff;

use crate::arguments::Remote;

mod pull;

/// It differs; of a pull, it was changed on both sides.
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
    let draft = there.draft().await?;
    let here = Here::of(&asked.directory, &draft.partials).map_err(failed(REFUSED))?;
    match verb {
        Verb::Push => push(asked, &there, &here, &draft).await,
        Verb::Pull => pull::pull(asked, &there, &here, &draft),
        Verb::Diff => diff(asked, &here, &draft),
    }
}

/// The folder.
struct Here {
    /// Prompts, partials and the two files of ours.
    files: Files,
    /// Texts of FORGE that a pull put beside ours, since both were changed.
    beside: Vec<String>,
    content: Content,
    base: Option<Digests>,
    /// What of the files is otherwise than it looks.
    notes: Vec<Note>,
    /// The prompts with a template that does not compile, as `prompts/<id>`.
    broken: BTreeSet<String>,
}

impl Here {
    /// Reads it. Its prompts may also include partials of the set.
    fn of(directory: &Path, partials: &[Partial]) -> anyhow::Result<Self> {
        let (mut files, mut beside) = (Files::new(), Vec::new());
        for part in ["prompts", "partials"] {
            walk(directory, &directory.join(part), 0, &mut files, &mut beside)?;
        }
        // It may be missing; the layout is this one all the same.
        files.insert(folder::MANIFEST.into(), Vec::new());
        let lock = directory.join(folder::LOCK);
        if lock.is_file() {
            let bytes = std::fs::read(&lock).with_context(|| format!("reading {}", lock.display()))?;
            files.insert(folder::LOCK.into(), bytes);
        }
        let mut notes = Vec::new();
        let content = folder::read_beside(&files, partials, &mut notes)?;
        let base = folder::base(&files)?;
        let broken = broken(&content, partials, base.as_ref());
        Ok(Self { files, beside, content, base, notes, broken })
    }

    /// Refuses templates that do not compile: those that changed, and those that stay and are spoiled by another change, such
    /// as that of a partial.
    fn compiles(&self, draft: &Content, changed: &BTreeSet<&str>, stay: &BTreeSet<&str>) -> Result<()> {
        if self.broken.is_empty() {
            return Ok(());
        }
        let known = broken(draft, &draft.partials, None);
        let is_new = |name: &&String| {
            changed.contains(name.as_str()) || (stay.contains(name.as_str()) && !known.contains(*name))
        };
        let names: Vec<&String> = self.broken.iter().filter(is_new).collect();
        if names.is_empty() {
            return Ok(());
        }
        let why = anyhow!("a template does not compile, and no push takes it:{}", listed(names.into_iter()));
        Err(Failed { code: REFUSED, why })
    }
}

/// The prompts with a template that does not compile. A partial of the set that was removed here is none for them.
fn broken(content: &Content, partials: &[Partial], base: Option<&Digests>) -> BTreeSet<String> {
    let name = |partial: &Partial| format!("partials/{}", partial.name);
    let own: BTreeSet<String> = content.partials.iter().map(name).collect();
    let removed = |partial: &Partial| base.is_some_and(|base| base.contains_key(&name(partial)));
    let theirs = partials.iter().filter(|p| !own.contains(&name(p)) && !removed(p));
    let around: Vec<Partial> = content.partials.iter().chain(theirs).cloned().collect();
    let wrong = content
        .prompts
        .iter()
        .filter(|prompt| template::check(prompt, &around).iter().any(|error| !error.is_warning()));
    wrong.map(|prompt| format!("prompts/{}", prompt.id)).collect()
}

fn walk(
    root: &Path,
    directory: &Path,
    depth: usize,
    files: &mut Files,
    beside: &mut Vec<String>,
) -> anyhow::Result<()> {
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
            walk(root, &path, depth + 1, files, beside)?;
        } else if name.strip_suffix(folder::THEIRS).is_some_and(folder::is_text) {
            beside.push(name);
        } else if folder::is_text(&name) {
            let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            files.insert(name, bytes);
        }
    }
    Ok(())
}

async fn push(asked: &Remote, there: &There, here: &Here, draft: &Content) -> Result<u8> {
    if !here.beside.is_empty() && !asked.force {
        let why = anyhow!(
            "the text that FORGE has still stands beside yours: bring it into the file that it is named after, remove it, \
             and push; or push with --force to replace it{}",
            listed(here.beside.iter())
        );
        return Err(Failed { code: REFUSED, why });
    }
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
        let why = anyhow!(
            "changed here and in FORGE since they last met: forge pull puts the text that FORGE has beside yours; or push \
             with --force to replace it"
        );
        return Err(Failed { code: REFUSED, why });
    }
    let items = plan["items"].as_array().into_iter().flatten();
    let of = |changes: &[&str]| -> BTreeSet<&str> {
        let those =
            items.clone().filter(|item| item["change"].as_str().is_some_and(|c| changes.contains(&c)));
        those.filter_map(|item| item["name"].as_str()).collect()
    };
    here.compiles(draft, &of(&["new", "changed"]), &of(&["unchanged"]))
        .inspect_err(|_| report(asked, &plan))?;
    if writes > 0 {
        let id = plan["id"].as_str().unwrap_or_default();
        let body = json!({ "digest": plan["digest"], "existing": existing, "others": "remove" });
        let apply = Request::new(Method::Post, &there.path(&format!("/imports/{id}/apply"))).json(&body);
        there.ask(apply).await?;
    }
    put(&asked.directory.join(folder::LOCK), &lock(&here.content)?)?;
    pull::forget(asked, here)?;
    report(asked, &plan);
    Ok(0)
}

/// Names, each on its own line.
fn listed(names: impl Iterator<Item = impl std::fmt::Display>) -> String {
    names.fold(String::new(), |all, one| format!("{all}\n  {one}"))
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

/// Something that its author has to know, beside what a command prints for programs to read.
fn remark(place: &str, what: &str, why: &str) {
    eprintln!("note: {place}: {what}: {why}");
}

/// What the plan of a push says.
fn report(asked: &Remote, plan: &Value) {
    if asked.json {
        println!("{}", json!({ "counts": plan["counts"], "items": plan["items"], "notes": plan["notes"] }));
        return;
    }
    for note in plan["notes"].as_array().into_iter().flatten() {
        let text = |key: &str| note[key].as_str().unwrap_or_default();
        remark(text("place"), text("what"), text("why"));
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

fn diff(asked: &Remote, here: &Here, draft: &Content) -> Result<u8> {
    let found = differences(&here.content, draft);
    if asked.json {
        let note = |n: &Note| json!({ "place": n.place, "what": n.what, "why": n.why });
        let notes: Vec<Value> = here.notes.iter().map(note).collect();
        println!("{}", json!({ "differs": !found.is_empty(), "items": found, "notes": notes }));
    } else {
        here.notes.iter().for_each(|note| remark(&note.place, &note.what, &note.why));
        let text =
            |content: &Content| folder::write(content).map_err(|e| Failed { code: REFUSED, why: e.into() });
        let (ours, theirs) = (text(&here.content)?, text(draft)?);
        for name in found.keys() {
            let file = format!("{name}.md");
            let of = |files: &Files| files.get(&file).map(|b| String::from_utf8_lossy(b).into_owned());
            let (old, new) = (of(&theirs).unwrap_or_default(), of(&ours).unwrap_or_default());
            let lines = TextDiff::from_lines(old.as_str(), new.as_str());
            print!("{}", lines.unified_diff().header(&format!("forge/{file}"), &format!("here/{file}")));
        }
    }
    let changed: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    let stay = here.broken.iter().map(String::as_str).filter(|name| !changed.contains(name)).collect();
    here.compiles(draft, &changed, &stay)?;
    Ok(if found.is_empty() { 0 } else { DIFFERS })
}
