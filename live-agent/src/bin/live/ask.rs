//! The commands that ask: a running agent where there is one, the disk cache otherwise.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use live_agent::config::CachePlace;
use live_agent::control::{self, ControlError, Question};
use live_agent::offline::Offline;
use live_agent::{Listed, LocalStatus, Mode, PromptError, Values};
use schemas::Slug;
use schemas::parameter::Kind;
use schemas::prompt::{Content, Prompt as Source};
use serde_json::{Map, Value, json};

use crate::exit::Failure;
use crate::options::Settings;
use crate::show;

/// Values of a prompt's parameters.
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct Given {
    /// A value, as name=value; may be given again. Read as the type that the prompt declares
    #[arg(long = "var", value_name = "NAME=VALUE")]
    vars: Vec<String>,
    /// A file with a JSON object of values; - is standard input
    #[arg(long, value_name = "FILE")]
    vars_json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Prompt {
    /// The prompt's id, or @set/id
    id: String,
    #[command(flatten)]
    given: Given,
}

/// Asks the running agent; none where none runs.
pub(crate) async fn running(settings: &Settings, question: &Question) -> Result<Option<Value>, Failure> {
    let CachePlace::Disk(dir) = settings.cache_place()? else { return Ok(None) };
    match control::ask(&dir, question).await {
        Ok(answer) => Ok(Some(answer)),
        Err(ControlError::NoAgent) => Ok(None),
        Err(ControlError::Failed { error, message }) if error == "unreachable" || error == control::EMPTY => {
            Err(Failure::Unavailable(message))
        }
        Err(error) => Err(Failure::Other(error.into())),
    }
}

/// Refuses what an agent with nothing on disk cannot be told from here: it has no place where it is asked.
pub(crate) fn within_reach(settings: &Settings) -> Result<(), Failure> {
    match settings.cache_place()? {
        CachePlace::Memory => Err(Failure::Configuration(
            "memory_only: an agent that keeps nothing on disk hears nothing from here, and the next one starts \
             anew; ask it itself (PUT /v1/mode and POST /v1/sync of its sidecar), or order it in FORGE"
                .into(),
        )),
        _ => Ok(()),
    }
}

pub(crate) fn offline(settings: &Settings) -> Result<Offline, Failure> {
    let offline = settings.builder()?.read_offline()?;
    if !settings.json {
        let contact = offline.status().contact.map_or("unknown".into(), show::ago);
        eprintln!("no agent is running; from disk, last contact {contact}");
    }
    Ok(offline)
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    let read =
        serde_json::from_value(answer).context("the running agent answered something else; update both");
    read.map_err(Failure::Other)
}

fn failed(error: PromptError) -> Failure {
    match error {
        PromptError::Empty { .. } => Failure::Unavailable(error.to_string()),
        other => Failure::Other(other.into()),
    }
}

pub(crate) async fn status(settings: &Settings, metrics: bool) -> Result<(), Failure> {
    let (status, running): (LocalStatus, bool) = match running(settings, &Question::Status).await? {
        Some(answer) => (parse(answer)?, true),
        None => (settings.builder()?.read_offline()?.status(), false),
    };
    if metrics {
        return show::text(&status.metrics());
    }
    if settings.json {
        let mut value = serde_json::to_value(&status).map_err(|e| Failure::Other(e.into()))?;
        if let Some(object) = value.as_object_mut() {
            object.insert("running".into(), running.into());
        }
        return show::json(&value);
    }
    show::text(&show::status(&status, running))
}

pub(crate) async fn mode(settings: &Settings, set: Option<Mode>) -> Result<(), Failure> {
    within_reach(settings)?;
    let mode = match running(settings, &Question::Mode { set }).await? {
        Some(answer) => parse(answer.get("mode").cloned().unwrap_or_default())?,
        None => match set {
            Some(mode) => {
                let stored = settings.builder()?.store_mode(mode)?;
                stored.map_err(|error| Failure::Other(error.into()))?;
                mode
            }
            None => settings.builder()?.read_offline()?.status().status.mode,
        },
    };
    if settings.json {
        show::json(&json!({ "mode": mode }))
    } else {
        show::text(&format!("{}\n", mode.as_str()))
    }
}

async fn served(settings: &Settings) -> Result<Vec<Listed>, Failure> {
    match running(settings, &Question::List).await? {
        Some(answer) => parse(answer),
        None => Ok(offline(settings)?.list()),
    }
}

pub(crate) async fn list(settings: &Settings, set: Option<&Slug>) -> Result<(), Failure> {
    let mut all = served(settings).await?;
    all.retain(|one| set.is_none_or(|set| one.set == *set));
    if settings.json { show::json(&all) } else { show::text(&show::list(&all)) }
}

/// Prompts that have every word, the nearest first.
pub(crate) async fn search(settings: &Settings, words: &[String]) -> Result<(), Failure> {
    let words = words.join(" ");
    let found: Vec<Listed> = match running(settings, &Question::Search { words: words.clone() }).await? {
        Some(answer) => parse(answer)?,
        None => offline(settings)?.search(&words),
    };
    if settings.json { show::json(&found) } else { show::text(&show::list(&found)) }
}

pub(crate) async fn get(settings: &Settings, id: String) -> Result<(), Failure> {
    let source: Source = match running(settings, &Question::Get { id: id.clone() }).await? {
        Some(answer) => parse(answer)?,
        None => (*offline(settings)?.template(&id).map_err(failed)?).clone(),
    };
    if settings.json {
        return show::json(&source);
    }
    match &source.content {
        Content::Text { template } => show::text(&ended(template)),
        Content::Chat { .. } => {
            let pretty =
                serde_json::to_string_pretty(&source.content).map_err(|e| Failure::Other(e.into()))?;
            show::text(&ended(&pretty))
        }
    }
}

impl Prompt {
    pub(crate) async fn show(self, settings: &Settings) -> Result<(), Failure> {
        let answer = match running(settings, &Question::Get { id: self.id.clone() }).await? {
            Some(source) => {
                let source: Source = parse(source)?;
                let values = self.given.values(Some(&source))?;
                let question = Question::Prompt { id: self.id, values };
                running(settings, &question).await?.unwrap_or_default()
            }
            None => {
                let offline = offline(settings)?;
                let source = offline.template(&self.id).map_err(failed)?;
                let values = Values::from_json(self.given.values(Some(&source))?);
                match &source.content {
                    Content::Text { .. } => {
                        json!({ "text": offline.prompt(&self.id, &values).map_err(failed)? })
                    }
                    Content::Chat { .. } => {
                        json!({ "messages": offline.messages(&self.id, &values).map_err(failed)? })
                    }
                }
            }
        };
        if settings.json {
            return show::json(&answer);
        }
        match answer.get("text").and_then(Value::as_str) {
            Some(text) => show::text(&ended(text)),
            None => {
                let pretty = serde_json::to_string_pretty(&answer).map_err(|e| Failure::Other(e.into()))?;
                show::text(&ended(&pretty))
            }
        }
    }
}

impl Given {
    /// The values as JSON, each of the type that `prompt` declares.
    pub(crate) fn values(&self, prompt: Option<&Source>) -> Result<Map<String, Value>, Failure> {
        let mut values = match &self.vars_json {
            None => Map::new(),
            Some(path) => read_json(path)?,
        };
        for var in &self.vars {
            let (name, text) = var.split_once('=').ok_or_else(|| {
                Failure::Other(anyhow::anyhow!(
                    "--var {}: write name=value",
                    var.split('=').next().unwrap_or("")
                ))
            })?;
            let kind =
                prompt.and_then(|p| p.parameters.iter().find(|one| one.name == name)).map(|one| &one.kind);
            let value = match kind {
                None | Some(Kind::String { .. } | Kind::Enum { .. }) => Value::String(text.into()),
                // What is no JSON stays text: the check of the parameter says what was expected.
                Some(_) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into())),
            };
            values.insert(name.into(), value);
        }
        Ok(values)
    }
}

fn read_json(path: &Path) -> Result<Map<String, Value>, Failure> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.with_context(|| format!("reading {}", path.display()))?;
    Ok(serde_json::from_str(&text)
        .with_context(|| format!("{} is no JSON object of values", path.display()))?)
}

fn ended(text: &str) -> String {
    if text.ends_with('\n') { text.into() } else { format!("{text}\n") }
}
