//! `live config`: what an agent is told, before one is started.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::Subcommand;
use live_agent::config::options::{self, Kind, OPTIONS, Origin};
use serde_json::json;

use crate::exit::Failure;
use crate::options::{Gathered, write_whole};
use crate::{log, show};

#[derive(Debug, Subcommand)]
pub(crate) enum Configure {
    /// Reads everything and says all that is wrong with it, with file and line
    Check,
    /// Shows what holds, and where each value was said
    Show,
    /// Prints every setting with its default and what presets make of it, in Markdown
    Table,
    /// Writes a file with every setting in a comment, to begin with
    Init {
        /// Replaces a file that is there
        #[arg(long)]
        force: bool,
    },
}

impl Configure {
    pub(crate) fn run(&self, gathered: &Gathered) -> Result<(), Failure> {
        match self {
            Self::Check => check(gathered),
            Self::Show => show_all(gathered),
            Self::Table => table(gathered.settings.json),
            Self::Init { force } => init(gathered, *force),
        }
    }
}

/// What is found: key or place, and why.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) wrong: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// Everything that is wrong with the settings and with the files that they name.
pub(crate) fn findings(gathered: &Gathered) -> Findings {
    let settings = &gathered.settings;
    let mut found = Findings::default();
    found.wrong.extend(gathered.faults.iter().map(ToString::to_string));
    for setting in OPTIONS.iter().filter(|s| ["overrides", "baked"].contains(&s.key)) {
        if let Some(said) = settings.given.get(setting.key)
            && !Path::new(&said.text).exists()
        {
            found.wrong.push(format!("{}: there is no {} ({})", setting.key, said.text, said.origin));
        }
    }
    if !settings.connection.exists() && settings.given.get("connection").is_some_and(is_default) {
        let path = settings.connection.display();
        found.wrong.push(format!("connection: there is no {path}; run \"live connect\" first"));
    } else if let Ok(builder) = settings.unconnected() {
        let baked = |text: &String| {
            text.starts_with("baked_bundle:") && found.wrong.iter().any(|w| w.starts_with("baked:"))
        };
        let wrong: Vec<String> = builder
            .check_all()
            .into_iter()
            .map(|error| format!("{:#}", anyhow::Error::new(error)))
            .filter(|text| !baked(text))
            .collect();
        let whole = wrong.is_empty() && found.wrong.is_empty();
        found.wrong.extend(wrong);
        // Whose cache it is can be told once all else is right.
        if whole && let Err(error) = builder.read_offline() {
            found.wrong.push(format!("{:#}", anyhow::Error::new(error)));
        }
    }
    found.wrong.extend(log::Spans::of(settings).and_then(|spans| spans.check().err()));
    found.warnings.extend(loose(&settings.credentials));
    found
}

fn is_default(found: &options::Found) -> bool {
    found.origin == Origin::Default
}

/// What is wrong with the rights of a file that nobody else should read.
fn loose(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0)
        .then(|| format!("credentials: others may read {} (mode {mode:03o}): chmod 600 it", path.display()))
}

fn check(gathered: &Gathered) -> Result<(), Failure> {
    let Findings { wrong, warnings } = findings(gathered);
    if gathered.settings.json {
        show::json(&json!({ "file": gathered.file, "wrong": wrong, "warnings": warnings }))?;
    } else {
        let file = gathered.file.as_ref().map_or("none".into(), |path| path.display().to_string());
        let mut lines = vec![format!("file: {file}")];
        lines.extend(wrong.iter().map(|text| format!("wrong: {text}")));
        lines.extend(warnings.iter().map(|text| format!("warning: {text}")));
        if wrong.is_empty() && warnings.is_empty() {
            lines.push("all is well".into());
        }
        show::text(&(lines.join("\n") + "\n"))?;
    }
    match (wrong.len(), warnings.is_empty()) {
        (0, true) => Ok(()),
        (0, false) => Err(Failure::Differs),
        (1, _) => Err(Failure::Configuration("one thing is wrong".into())),
        (many, _) => Err(Failure::Configuration(format!("{many} things are wrong"))),
    }
}

fn table(json: bool) -> Result<(), Failure> {
    if !json {
        return show::text(&options::table());
    }
    let all: Vec<_> = OPTIONS
        .iter()
        .map(|s| {
            json!({
                "key": s.in_file().then(|| s.name()), "flag": format!("--{}", s.flag), "variable": s.variable,
                "default": s.default_words(), "staging": s.staging, "prod": s.prod, "what": s.what,
            })
        })
        .collect();
    show::json(&all)
}

fn show_all(gathered: &Gathered) -> Result<(), Failure> {
    let settings = &gathered.settings;
    let all: Vec<_> = OPTIONS.iter().map(|setting| (setting, settings.given.effective(setting))).collect();
    if settings.json {
        let all: Vec<_> = all
            .iter()
            .map(|(s, found)| json!({ "key": s.name(), "value": found.text, "from": found.origin.to_string() }))
            .collect();
        return show::json(&all);
    }
    let mut out = String::new();
    for (setting, found) in all {
        let value = match (found.text.as_str(), setting.default_words()) {
            ("", "") => "-".to_owned(),
            ("", words) => format!("({})", words.replace('`', "")),
            (text, _) => text.to_owned(),
        };
        // Who reads it looks for what was said.
        let from = if is_default(&found) { String::new() } else { format!("  # {}", found.origin) };
        let bare = matches!(setting.kind, Kind::Switch | Kind::Number) || value.starts_with(['-', '(']);
        let quote = if bare { "" } else { "\"" };
        out.push_str(&format!("{:<20} = {quote}{value}{quote}{from}\n", setting.name()));
    }
    show::text(&out)
}

fn init(gathered: &Gathered, force: bool) -> Result<(), Failure> {
    let settings = &gathered.settings;
    let path = settings.own_file();
    if path.exists() && !force {
        let why = format!("{} is there already; --force replaces it", path.display());
        return Err(Failure::NotPermitted(why));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Failure::Other(error.into()))?;
    }
    write_whole(&path, options::commented(settings.given.preset()).as_bytes(), 0o644)?;
    if settings.json {
        return show::json(&json!({ "file": path }));
    }
    show::text(&format!("{}\n", path.display()))
}
