//! The formats: how each is recognised, read and written.

use schemas::prompt::Partial;
use serde_json::Value;

use crate::archive::{self, Archive, Locked};
use crate::files::{self, Files};
use crate::found::{Content, Found, Note, Refusal, Result};
use crate::name::unique;
use crate::{dotprompt, folder, langchain, langfuse, liquid, lost, mlflow, openai, prompty};

/// A format that prompts come or go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    Archive,
    Folder,
    Dotprompt,
    Prompty,
    Langfuse,
    Mlflow,
    Openai,
    Langchain,
    Liquid,
}

impl Format {
    pub const ALL: [Self; 9] = [
        Self::Archive,
        Self::Folder,
        Self::Dotprompt,
        Self::Prompty,
        Self::Langfuse,
        Self::Mlflow,
        Self::Openai,
        Self::Langchain,
        Self::Liquid,
    ];

    /// Its name in addresses and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Folder => "folder",
            Self::Dotprompt => "dotprompt",
            Self::Prompty => "prompty",
            Self::Langfuse => "langfuse",
            Self::Mlflow => "mlflow",
            Self::Openai => "openai",
            Self::Langchain => "langchain",
            Self::Liquid => "liquid",
        }
    }

    /// Reads its name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.as_str() == text)
    }

    /// What it is, for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Archive => "Anvil archive",
            Self::Folder => "Markdown or text files",
            Self::Dotprompt => "Dotprompt",
            Self::Prompty => "Prompty",
            Self::Langfuse => "Langfuse",
            Self::Mlflow => "MLflow",
            Self::Openai => "OpenAI hosted prompts",
            Self::Langchain => "LangChain",
            Self::Liquid => "Liquid",
        }
    }

    /// What of a set it carries, for people.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Archive => {
                "everything: the draft, every version byte for byte, lock file, aliases, variable sets, history"
            }
            Self::Folder => {
                "a zip of one file for each prompt; everything of the draft, made for a repository"
            }
            Self::Dotprompt => "a zip of .prompt files with Handlebars",
            Self::Prompty => "a zip of .prompty files with Jinja",
            Self::Langfuse => "one JSON file; plain variables only",
            Self::Mlflow => "one JSON file; plain variables only",
            Self::Openai => "one JSON file; plain variables only",
            Self::Langchain => "a zip of JSON files; plain variables only",
            Self::Liquid => "a zip of .liquid files; text prompts only",
        }
    }
}

/// Reads an upload, in the format given or the one that it shows.
///
/// # Errors
/// Why it is refused, whole.
pub fn read(format: Option<Format>, name: &str, bytes: &[u8]) -> Result<Found> {
    read_beside(format, name, bytes, &[])
}

/// Reads an upload whose prompts may include partials of the set that it comes to.
///
/// # Errors
/// As [`read`].
pub fn read_beside(format: Option<Format>, name: &str, bytes: &[u8], beside: &[Partial]) -> Result<Found> {
    let files = files::unpack(name, bytes)?;
    let format = match format {
        Some(format) => format,
        None => detect(&files)?,
    };
    let mut notes = Vec::new();
    let mut archive = None;
    let content = match format {
        Format::Archive => {
            let read = Archive::read(&files)?;
            let content = match read.sets.as_slice() {
                [set] => set.draft.clone(),
                sets => {
                    let names = sets.iter().map(|s| s.slug.as_str()).collect::<Vec<_>>().join(", ");
                    let detail = format!(
                        "the archive holds {} sets ({names}): import it into a project, not into one set",
                        sets.len()
                    );
                    return Err(Refusal::new("many_sets", detail));
                }
            };
            left_out(&read, &mut notes);
            archive = Some(read);
            content
        }
        Format::Folder => folder::read_beside(&files, beside, &mut notes)?,
        Format::Dotprompt => dotprompt::read(&files, beside, &mut notes)?,
        Format::Prompty => prompty::read(&files, beside, &mut notes)?,
        Format::Liquid => liquid::read(&files, beside, &mut notes)?,
        Format::Langfuse | Format::Mlflow | Format::Openai | Format::Langchain => {
            json(format, &files, beside, &mut notes)?
        }
    };
    let content = content.sorted();
    unique("prompt", content.prompts.iter().map(|p| &p.id))?;
    unique("partial", content.partials.iter().map(|p| &p.name))?;
    let is_whole = archive.as_ref().is_some_and(Archive::is_whole);
    if content.prompts.is_empty() && content.partials.is_empty() && !is_whole {
        let detail = format!("no prompts of the format {} are in it", format.label());
        return Err(Refusal::new("empty", detail));
    }
    notes.sort();
    notes.dedup();
    let base = if format == Format::Folder { folder::base(&files)? } else { None };
    Ok(Found { format, content, notes, archive, base })
}

/// Reads an archive of ours with all of its sets, and says what of it cannot be taken over.
///
/// # Errors
/// Why it is refused, whole.
pub fn read_archive(name: &str, bytes: &[u8]) -> Result<(Archive, Vec<Note>)> {
    let files = files::unpack(name, bytes)?;
    if !archive::is_archive(&files) {
        let detail = "this is no archive of FORGE; files of other tools are imported into one prompt set";
        return Err(Refusal::new("unknown_format", detail));
    }
    let read = Archive::read(&files)?;
    if read.sets.is_empty() {
        return Err(Refusal::new("empty", "the archive holds no prompt set"));
    }
    let mut notes = Vec::new();
    left_out(&read, &mut notes);
    Ok((read, notes))
}

/// What of an archive is not taken over.
fn left_out(archive: &Archive, notes: &mut Vec<Note>) {
    for set in &archive.sets {
        let place = format!("{}/lock.json", set.slug);
        if !archive.is_whole() && !set.versions.is_empty() {
            let why = "an archive of this age holds no digest of their content; the import takes the draft";
            notes.push(Note::new(place, "versions", why));
            continue;
        }
        for version in set.versions.iter().filter(|v| v.locked.kind != Locked::LOCKED) {
            let why = "a draft that was published to be tried; only locked versions are taken over";
            notes.push(Note::new(place.clone(), version.locked.version.to_string(), why));
        }
    }
}

fn json(format: Format, files: &Files, beside: &[Partial], notes: &mut Vec<Note>) -> Result<Content> {
    let mut out = Content::default();
    for (path, bytes) in files.iter().filter(|(p, _)| p.ends_with(".json")) {
        let value: Value =
            serde_json::from_str(files::text(path, bytes)?).map_err(|e| Refusal::unreadable(path, e))?;
        let found = match format {
            Format::Langfuse => langfuse::read(path, &value, beside, notes)?,
            Format::Mlflow => mlflow::read(path, &value, beside, notes)?,
            Format::Openai => openai::read(path, &value, beside, notes)?,
            _ => langchain::read(path, &value, beside, notes)?,
        };
        out.prompts.extend(found.prompts);
    }
    Ok(out)
}

/// Reads again what was written in a format of another tool, and says what of it was lost.
fn compare(format: Format, files: &Files, content: &Content, notes: &mut Vec<Note>) {
    let (mut unsaid, beside) = (Vec::new(), &content.partials);
    let back = match format {
        Format::Archive | Format::Folder => return,
        Format::Dotprompt => dotprompt::read(files, beside, &mut unsaid),
        Format::Prompty => prompty::read(files, beside, &mut unsaid),
        Format::Liquid => liquid::read(files, beside, &mut unsaid),
        Format::Langfuse | Format::Mlflow | Format::Openai | Format::Langchain => {
            json(format, files, beside, &mut unsaid)
        }
    };
    match back {
        Ok(back) => lost::told(format, content, &back, notes),
        Err(refusal) => notes.push(Note::new("export", format.label(), refusal.detail)),
    }
}

/// The format of files, by their names and what the first JSON file holds.
fn detect(files: &Files) -> Result<Format> {
    if archive::is_archive(files) {
        return Ok(Format::Archive);
    }
    let has = |end: &str| files.keys().any(|p| p.ends_with(end));
    for (end, format) in
        [(".prompt", Format::Dotprompt), (".prompty", Format::Prompty), (".liquid", Format::Liquid)]
    {
        if has(end) {
            return Ok(format);
        }
    }
    if files.keys().any(|p| folder::is_text(p)) {
        return Ok(Format::Folder);
    }
    let known = "an Anvil archive, .prompt, .prompty, .liquid, .md or .txt files, or JSON of Langfuse, MLflow, OpenAI \
                 or LangChain";
    let Some((path, bytes)) = files.iter().find(|(p, _)| p.ends_with(".json")) else {
        return Err(Refusal::new(
            "unknown_format",
            format!("this is none of the formats that are read: {known}"),
        ));
    };
    let value: Value =
        serde_json::from_str(files::text(path, bytes)?).map_err(|e| Refusal::unreadable(path, e))?;
    let first = match value.get("model_versions").and_then(|v| v.get(0)) {
        Some(first) => first,
        None => langfuse::entries(&value).first().copied().unwrap_or(&Value::Null),
    };
    type Test = fn(&Value) -> bool;
    let tests: [(Test, Format); 4] = [
        (langchain::is_one, Format::Langchain),
        (langfuse::is_one, Format::Langfuse),
        (mlflow::is_one, Format::Mlflow),
        (openai::is_one, Format::Openai),
    ];
    tests.iter().find(|(test, _)| test(first)).map(|(_, format)| *format).ok_or_else(|| {
        Refusal::new("unknown_format", format!("{path} is JSON of no format that is read: {known}"))
    })
}

/// A file to be given out.
#[derive(Debug, Clone)]
pub struct Written {
    /// Without a folder.
    pub name: String,
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
    /// What the format cannot hold.
    pub notes: Vec<Note>,
}

/// The `forge.toml` of a folder that may go anywhere.
const UNNAMED: &str = "# Whose draft this is, for forge push and forge pull:\n# project = \"organisation/project\"\n# set = \"set\"\n";

/// Writes prompts in a format, as a file called after `name`. An archive is written by
/// [`Archive::write`], which needs more than a draft.
///
/// # Errors
/// The format is the archive, or two files of a folder would have one name.
pub fn write(format: Format, name: &str, content: &Content) -> Result<Written> {
    let mut notes = Vec::new();
    let files = match format {
        Format::Archive => {
            return Err(Refusal::new("invalid", "an archive is made of a set, not of prompts"));
        }
        Format::Folder => {
            let mut files = folder::write(content)?;
            // Whose draft it becomes is for who takes it to say.
            files.insert(folder::MANIFEST.into(), UNNAMED.into());
            files
        }
        Format::Dotprompt => dotprompt::write(content, &mut notes),
        Format::Prompty => prompty::write(content, &mut notes),
        Format::Langchain => langchain::write(content, &mut notes),
        Format::Liquid => liquid::write(content, &mut notes),
        Format::Langfuse | Format::Mlflow | Format::Openai => {
            let value = match format {
                Format::Langfuse => langfuse::write(content, &mut notes),
                Format::Mlflow => mlflow::write(content, &mut notes),
                _ => openai::write(content, &mut notes),
            };
            let mut bytes =
                serde_json::to_vec_pretty(&value).map_err(|e| Refusal::new("invalid", e.to_string()))?;
            bytes.push(b'\n');
            let name = format!("{name}.{}.json", format.as_str());
            let files = Files::from([(name.clone(), bytes.clone())]);
            compare(format, &files, content, &mut notes);
            partials(format, content, &mut notes);
            return Ok(Written { name, media_type: "application/json", bytes, notes });
        }
    };
    compare(format, &files, content, &mut notes);
    partials(format, content, &mut notes);
    let bytes = files::pack(&files)?;
    let name = format!("{name}.{}.zip", format.as_str());
    Ok(Written { name, media_type: "application/zip", bytes, notes })
}

fn partials(format: Format, content: &Content, notes: &mut Vec<Note>) {
    let holds = matches!(format, Format::Folder | Format::Dotprompt | Format::Liquid);
    if !holds && !content.partials.is_empty() {
        let names = content.partials.iter().map(|p| p.name.to_string()).collect::<Vec<_>>().join(", ");
        notes.push(Note::new("partials", names, "the other format has none; they are left out"));
    }
    notes.sort();
    notes.dedup();
}
