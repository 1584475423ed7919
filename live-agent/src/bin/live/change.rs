//! What changes what is served, and what would: sync, pins, differences, history.

use std::time::Duration;

use clap::Args;
use live_agent::control::Question;

use live_agent::{Builder, HistoryEntry, LiveAgent, Mode, SyncReport, Waiting};
use schemas::Slug;
use schemas::prompt::{Content, Prompt};
use schemas::status::{PendingState, SetStatus};
use semver::VersionReq;
use serde::{Deserialize, Serialize};
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use crate::ask::{parse, running, within_reach};
use crate::exit::Failure;
use crate::options::{Settings, coloured};
use crate::show;

/// How long a command without a running agent may take to reach the broker.
const REACH: Duration = Duration::from_secs(15);
/// Lines around a difference.
const AROUND: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct Pin {
    /// The set; without one, shows the pins that hold
    set: Option<Slug>,
    /// The versions that are taken up, such as =2.1.0 or ^2
    #[arg(requires = "set", value_parser = versions)]
    versions: Option<VersionReq>,
}

fn versions(text: &str) -> Result<VersionReq, String> {
    text.parse().map_err(|error| format!("write a requirement such as ^2 or =2.1.0: {error}"))
}

/// An agent that lives for one question and takes up nothing.
async fn looking(settings: &Settings) -> Result<LiveAgent, Failure> {
    briefly(settings.builder()?.only_looking()).await
}

/// An agent that lives for one command.
async fn briefly(builder: Builder) -> Result<LiveAgent, Failure> {
    let agent = builder.start().await?;
    match agent.wait_current(REACH).await {
        Ok(_) => Ok(agent),
        Err(error) => {
            agent.stop().await;
            Err(error.into())
        }
    }
}

/// Reconciles; with `check` nothing is taken up, and the answer is whether something waits.
pub(crate) async fn sync(settings: &Settings, check: bool) -> Result<(), Failure> {
    if !check {
        within_reach(settings)?;
    }
    let report: SyncReport = match running(settings, &Question::Sync { check }).await? {
        Some(answer) => parse(answer)?,
        None if check => {
            let agent = looking(settings).await?;
            let report = agent.check().await;
            agent.stop().await;
            report?
        }
        None => {
            let agent = briefly(settings.builder()?).await?;
            let report = agent.sync().await;
            agent.stop().await;
            report?
        }
    };
    if settings.json {
        show::json(&report)?;
    } else {
        let lines = report.sets.iter().map(|set| show::set_line(set, report.mode) + "\n");
        show::text(&format!("{}, current\n{}", report.mode.as_str(), lines.collect::<String>()))?;
    }
    let waits = |state| matches!(state, PendingState::Verified | PendingState::Pinned);
    let waiting = report.sets.iter().any(|set| set.pending.as_ref().is_some_and(|p| waits(p.state)));
    if check && waiting { Err(Failure::Differs) } else { Ok(()) }
}

/// Pins a set, ends that, or shows the pins.
pub(crate) async fn pin(settings: &Settings, pin: Pin) -> Result<(), Failure> {
    match (pin.set, pin.versions) {
        (Some(set), Some(versions)) => {
            set_pin(settings, &set, Some(versions)).await?;
            let sets = heard_of(settings).await?;
            let is_here =
                |one: &SetStatus| one.active.is_some() || one.pending.is_some() || one.head_serial.is_some();
            if !sets.iter().any(|one| one.set == set && is_here(one)) {
                eprintln!("no set of this name is here yet: the pin holds from when one comes");
            }
            show_pins(settings, &sets, Some(&set))
        }
        (set, _) => pins(settings, set.as_ref()).await,
    }
}

pub(crate) async fn unpin(settings: &Settings, set: Slug) -> Result<(), Failure> {
    set_pin(settings, &set, None).await?;
    pins(settings, Some(&set)).await
}

async fn set_pin(settings: &Settings, set: &Slug, versions: Option<VersionReq>) -> Result<(), Failure> {
    within_reach(settings)?;
    let question = Question::Pin { set: set.clone(), versions: versions.clone() };
    if running(settings, &question).await?.is_none() {
        let builder = settings.builder()?;
        let set = set.clone();
        let stored = tokio::task::spawn_blocking(move || builder.store_pin(&set, versions)).await;
        stored.map_err(|error| Failure::Other(error.into()))???;
    }
    Ok(())
}

/// The sets that the agent knows, be it by their pins alone.
async fn heard_of(settings: &Settings) -> Result<Vec<SetStatus>, Failure> {
    Ok(match running(settings, &Question::Status).await? {
        Some(answer) => parse::<live_agent::LocalStatus>(answer)?.status.sets,
        None => settings.builder()?.read_offline()?.status().status.sets,
    })
}

async fn pins(settings: &Settings, only: Option<&Slug>) -> Result<(), Failure> {
    show_pins(settings, &heard_of(settings).await?, only)
}

fn show_pins(settings: &Settings, sets: &[SetStatus], only: Option<&Slug>) -> Result<(), Failure> {
    let pinned = sets.iter().filter_map(|one| Some((&one.set, one.pin.as_ref()?)));
    let pinned: Vec<_> = pinned.filter(|(set, _)| only.is_none_or(|only| only == *set)).collect();
    if settings.json {
        let all: serde_json::Map<String, serde_json::Value> =
            pinned.iter().map(|(set, pin)| (set.to_string(), json!(pin))).collect();
        return show::json(&json!({ "pins": all }));
    }
    if pinned.is_empty() {
        let what = only.map_or("nothing is pinned".into(), |set| format!("@{set} is not pinned"));
        return show::text(&format!("{what}\n"));
    }
    show::text(&pinned.iter().map(|(set, pin)| format!("@{set} {pin}\n")).collect::<String>())
}

/// What waits, with its prompts, as a running agent answers.
#[derive(Debug, Serialize, Deserialize)]
struct Waits {
    #[serde(flatten)]
    waiting: Waiting,
    prompts: Vec<Prompt>,
}

/// One prompt that would change.
#[derive(Debug, Serialize)]
struct Difference {
    set: Slug,
    id: String,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Prompt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Prompt>,
}

/// What would change if what waits were taken up: what is served against it.
pub(crate) async fn diff(settings: &Settings, only: Option<&Slug>) -> Result<(), Failure> {
    let (mut waits, served, mode) = match running(settings, &Question::Waiting).await? {
        Some(answer) => {
            let waits: Vec<Waits> = parse(answer)?;
            let mut served = Vec::new();
            let listed: Vec<live_agent::Listed> = asked(settings, &Question::List).await?;
            for one in listed.iter().filter(|one| waits.iter().any(|w| w.waiting.set == one.set)) {
                let id = format!("@{}/{}", one.set, one.id);
                served.push((one.set.clone(), asked::<Prompt>(settings, &Question::Get { id }).await?));
            }
            // One that runs holds back what no pin keeps out in FROZEN alone.
            (waits, served, Mode::Frozen)
        }
        None => {
            let agent = looking(settings).await?;
            let ((waits, served), mode) = (found(&agent), agent.mode());
            agent.stop().await;
            (waits, served, mode)
        }
    };
    waits.retain(|one| only.is_none_or(|only| one.waiting.set == *only));
    let all: Vec<Difference> = waits.iter().flat_map(|one| differences(one, &served)).collect();
    if settings.json {
        let sets: Vec<&Waiting> = waits.iter().map(|one| &one.waiting).collect();
        show::json(&json!({ "waiting": sets, "differences": all }))?;
    } else if waits.is_empty() {
        show::text("nothing waits\n")?;
    } else {
        let colours = coloured(&std::io::stdout());
        let mut out = String::new();
        for one in &waits {
            out.push_str(&headline(&one.waiting, mode));
            for difference in all.iter().filter(|d| d.set == one.waiting.set) {
                out.push_str(&unified(difference, colours));
            }
        }
        show::text(&out)?;
    }
    if waits.is_empty() { Ok(()) } else { Err(Failure::Differs) }
}

async fn asked<T: serde::de::DeserializeOwned>(
    settings: &Settings,
    question: &Question,
) -> Result<T, Failure> {
    match running(settings, question).await? {
        Some(answer) => parse(answer),
        None => Err(Failure::Unavailable("the agent has just ended; ask again".into())),
    }
}

fn found(agent: &LiveAgent) -> (Vec<Waits>, Vec<(Slug, Prompt)>) {
    let waits: Vec<Waits> = agent
        .waiting()
        .into_iter()
        .map(|waiting| Waits { prompts: agent.prompts_of(&waiting).unwrap_or_default(), waiting })
        .collect();
    let mut served = Vec::new();
    for one in agent.list() {
        if let Ok(prompt) = agent.template(&format!("@{}/{}", one.set, one.id)) {
            served.push((one.set, (*prompt).clone()));
        }
    }
    (waits, served)
}

fn headline(waiting: &Waiting, mode: Mode) -> String {
    let from = waiting.applied.as_ref().map_or("nothing".into(), |applied| applied.version.to_string());
    let why = match (waiting.why, mode) {
        (PendingState::Pinned, _) => "does not fit the pin",
        (_, Mode::Frozen) => "waits for ACCEPTING",
        (_, Mode::Accepting) => "is taken up once an agent runs",
    };
    let waits = &waiting.waits;
    format!("@{} {from} -> {} (serial {}) {why}\n", waiting.set, waits.version, waits.serial)
}

fn differences(one: &Waits, served: &[(Slug, Prompt)]) -> Vec<Difference> {
    let set = &one.waiting.set;
    let before = |id: &str| served.iter().find(|(of, p)| of == set && p.id.as_str() == id).map(|(_, p)| p);
    let mut all: Vec<Difference> = Vec::new();
    for after in &one.prompts {
        let before = before(after.id.as_str());
        if before == Some(after) {
            continue;
        }
        let change = if before.is_some() { "changed" } else { "added" };
        let (id, before, after) = (after.id.to_string(), before.cloned(), Some(after.clone()));
        all.push(Difference { set: set.clone(), id, change, before, after });
    }
    for (of, gone) in served.iter().filter(|(of, p)| of == set && !one.prompts.iter().any(|n| n.id == p.id)) {
        let (id, before) = (gone.id.to_string(), Some(gone.clone()));
        all.push(Difference { set: of.clone(), id, change: "removed", before, after: None });
    }
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

/// A prompt as lines that people compare: its text, and then all else of it.
fn lines(prompt: Option<&Prompt>) -> String {
    let Some(prompt) = prompt else { return String::new() };
    let mut out = match &prompt.content {
        Content::Text { template } => format!("{}\n", template.trim_end_matches('\n')),
        Content::Chat { .. } => serde_json::to_string_pretty(&prompt.content).unwrap_or_default() + "\n",
    };
    let mut rest = serde_json::to_value(prompt).unwrap_or_default();
    if let Some(rest) = rest.as_object_mut() {
        for key in ["id", "content", "type", "template", "messages"] {
            rest.remove(key);
        }
        rest.retain(|_, value| !value.is_null() && *value != json!([]) && *value != json!({}));
        if !rest.is_empty() {
            out.push_str("---\n");
            out.push_str(&serde_json::to_string_pretty(rest).unwrap_or_default());
            out.push('\n');
        }
    }
    out
}

fn unified(difference: &Difference, colours: bool) -> String {
    let (before, after) = (lines(difference.before.as_ref()), lines(difference.after.as_ref()));
    let name = format!("@{}/{}", difference.set, difference.id);
    let paint = |text: &str, colour: &str| {
        if colours { format!("\x1b[{colour}m{text}\x1b[0m\n") } else { format!("{text}\n") }
    };
    let side = |there: bool| if there { name.as_str() } else { "nothing" };
    let mut out = paint(&format!("--- {}", side(difference.before.is_some())), "1");
    out.push_str(&paint(&format!("+++ {}", side(difference.after.is_some())), "1"));
    let diff = TextDiff::from_lines(&before, &after);
    for hunk in diff.unified_diff().context_radius(AROUND).iter_hunks() {
        out.push_str(&paint(&hunk.header().to_string(), "36"));
        for change in hunk.iter_changes() {
            let line = show::plain(change.value().trim_end_matches('\n'));
            out.push_str(&match change.tag() {
                ChangeTag::Delete => paint(&format!("-{line}"), "31"),
                ChangeTag::Insert => paint(&format!("+{line}"), "32"),
                ChangeTag::Equal => format!(" {line}\n"),
            });
        }
    }
    out
}

/// What the stream still has.
pub(crate) async fn history(settings: &Settings, set: Option<Slug>) -> Result<(), Failure> {
    let all: Vec<HistoryEntry> = match running(settings, &Question::History { set: set.clone() }).await? {
        Some(answer) => parse(answer)?,
        None => {
            let agent = looking(settings).await?;
            let all = agent.history(set.as_ref()).await;
            agent.stop().await;
            all?
        }
    };
    if settings.json {
        return show::json(&all);
    }
    let mut out = String::new();
    for one in &all {
        let mark = if one.active { "*" } else { " " };
        let when = one.issued.map_or("never verified".into(), show::ago);
        let by = |word: &str, who: &Option<String>| {
            who.as_deref().map(|who| format!("{word} by {}", show::plain(who))).unwrap_or_default()
        };
        let (by, approved) = (by("", &one.publisher), by(", approved", &one.approver));
        let refused = one.refusal.as_ref();
        let refused = refused.map(|why| format!(", REFUSED: {}", show::plain(&why.message)));
        let refused = refused.unwrap_or_default();
        out.push_str(&format!(
            "{mark} @{} {} serial {} {} {when}{by}{approved}{refused}\n",
            one.set,
            one.version,
            one.serial,
            one.digest.short()
        ));
    }
    if all.is_empty() {
        out.push_str("the stream has nothing\n");
    }
    show::text(&out)
}
