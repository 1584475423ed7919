//! Bringing the draft into the folder: what nobody changed here. What was changed on both sides stands here twice: ours in
//! its file, and theirs beside it until somebody made one of both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use exchange::{Content, folder};
use schemas::canonical::Digest;
use serde_json::json;

use super::{DIFFERS, Failed, Here, REFUSED, Result, There, differences, failed, lock, put};
use crate::arguments::Remote;

/// What becomes of something that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Only the other side changed it.
    Taken,
    /// Only this side changed it.
    Kept,
    /// Both changed it.
    Conflict,
}

fn fate(ours: Option<&Digest>, theirs: Option<&Digest>, base: Option<&Digest>) -> Fate {
    if ours == base {
        Fate::Taken
    } else if theirs == base {
        Fate::Kept
    } else {
        Fate::Conflict
    }
}

/// How each part differs, and what becomes of it.
type Fates = BTreeMap<String, (&'static str, Fate)>;

pub(super) fn pull(asked: &Remote, there: &There, here: &Here, draft: &Content) -> Result<u8> {
    let (ours, theirs) = (here.content.digests(), draft.digests());
    let base = here.base.clone().unwrap_or_default();
    let found: Fates = differences(&here.content, draft)
        .into_iter()
        .map(|(name, how)| {
            let fate = match asked.force {
                true => Fate::Taken,
                false => fate(ours.get(&name), theirs.get(&name), base.get(&name)),
            };
            (name, (how, fate))
        })
        .collect();
    take(asked, here, draft, &found)?;
    let manifest = asked.directory.join(folder::MANIFEST);
    if !manifest.is_file() {
        let project = there.project.replacen(':', "/", 1);
        put(&manifest, &format!("project = \"{project}\"\nset = \"{}\"\n", there.set))?;
    }
    // From here on their text is known: what is made of both is pushed as a change of this side.
    put(&asked.directory.join(folder::LOCK), &lock(draft)?)?;
    report(asked, &found);
    let conflicts = found.values().filter(|(_, fate)| *fate == Fate::Conflict).count();
    if conflicts == 0 {
        return Ok(0);
    }
    let why = anyhow!(
        "{conflicts} changed here and in FORGE: nothing of yours was replaced. Bring what stands in each {} file into the \
         file that it is named after, remove it, and push; or pull with --force to lose what is here",
        folder::THEIRS
    );
    Err(Failed { code: DIFFERS, why })
}

/// Brings the files of the draft here, and takes away what is not there any more.
fn take(asked: &Remote, here: &Here, draft: &Content, found: &Fates) -> Result<()> {
    let files = folder::write(draft).map_err(|e| Failed { code: REFUSED, why: e.into() })?;
    // What only they have is brought here also where it was removed here: that loses nothing.
    let stays = |(name, (how, fate)): (&String, &(&'static str, Fate))| match fate {
        Fate::Taken => None,
        Fate::Conflict if *how == "there" => None,
        Fate::Kept | Fate::Conflict => Some(name.clone()),
    };
    let stays: BTreeSet<String> = found.iter().filter_map(stays).collect();
    for (path, name) in folder::names(&here.files) {
        if !files.contains_key(&path) && !stays.contains(&name) {
            remove(&asked.directory.join(path))?;
        }
    }
    for (path, bytes) in &files {
        let name = path.strip_suffix(".md").unwrap_or(path);
        let text = String::from_utf8_lossy(bytes);
        if !stays.contains(name) {
            if here.files.get(path) != Some(bytes) {
                put(&asked.directory.join(path), &text)?;
            }
        } else if found.get(name).is_some_and(|(_, fate)| *fate == Fate::Conflict) {
            put(&asked.directory.join(format!("{path}{}", folder::THEIRS)), &text)?;
        }
    }
    if asked.force { forget(asked, here) } else { Ok(()) }
}

/// Removes their texts that stand beside ours: it was decided which one counts.
pub(super) fn forget(asked: &Remote, here: &Here) -> Result<()> {
    here.beside.iter().try_for_each(|path| remove(&asked.directory.join(path)))
}

fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path)
        .with_context(|| format!("removing {}", path.display()))
        .map_err(failed(REFUSED))
}

fn report(asked: &Remote, found: &Fates) {
    let of = |wanted: Fate| {
        let those = found.iter().filter(|(_, (_, fate))| *fate == wanted);
        those.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    if asked.json {
        let items: BTreeMap<&str, &str> =
            found.iter().map(|(name, (how, _))| (name.as_str(), *how)).collect();
        let (kept, conflicts) = (of(Fate::Kept), of(Fate::Conflict));
        println!("{}", json!({ "items": items, "kept": kept, "conflicts": conflicts }));
        return;
    }
    for (name, (how, fate)) in found {
        match (*fate, *how) {
            (Fate::Taken, "here") => println!("removed   {name}"),
            (Fate::Taken, "there") => println!("new       {name}"),
            (Fate::Taken, _) => println!("changed   {name}"),
            (Fate::Kept, _) => println!("kept      {name}: changed here, and not pushed yet"),
            (Fate::Conflict, "here") => {
                println!("conflict  {name}: removed in FORGE; it stays here, and a push makes it anew there");
            }
            (Fate::Conflict, "there") => {
                println!(
                    "conflict  {name}: removed here and changed in FORGE; it is here again, as FORGE has it"
                );
            }
            (Fate::Conflict, _) => println!("conflict  {name}: theirs is in {name}.md{}", folder::THEIRS),
        }
    }
    if of(Fate::Taken).is_empty() && of(Fate::Conflict).is_empty() {
        println!("nothing to pull");
    }
}
