//! `live dev`: an agent with prompts of a folder before what FORGE published, while they are written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use live_agent::{LiveAgent, LocalStatus};
use schemas::prompt::Prompt;
use serde_json::json;

use crate::ends::Ends;
use crate::exit::Failure;
use crate::options::Settings;
use crate::show;

/// How often is looked whether the agent took up something else.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// The folder: welcome.md is the text of the prompt welcome, @chat/welcome.md that of the set chat alone
    folder: PathBuf,
}

impl Dev {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let mut ends = Ends::listen()?;
        let Some(started) = ends.unless(start(settings, &self.folder)).await else { return Ok(()) };
        let agent = started?;
        let mut seen = Seen::default();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = ends.told() => break,
                _ = tick.tick() => seen.tell(&agent, settings)?,
            }
        }
        agent.stop().await;
        Ok(())
    }
}

/// Without a profile the folder is all there is.
async fn start(settings: &Settings, folder: &Path) -> Result<LiveAgent, Failure> {
    if settings.connection.exists() {
        return Ok(settings.builder()?.overrides(folder).start().await?);
    }
    if !settings.json {
        show::text("no profile: the folder is all there is\n")?;
    }
    Ok(LiveAgent::from_folder(folder)?)
}

/// What was told last.
#[derive(Default)]
struct Seen {
    prompts: BTreeMap<String, Prompt>,
    problems: Vec<String>,
    before: bool,
}

impl Seen {
    fn tell(&mut self, agent: &LiveAgent, settings: &Settings) -> Result<(), Failure> {
        let local: LocalStatus = agent.local_status();
        let now: BTreeMap<String, Prompt> = local
            .status
            .overrides
            .iter()
            .filter_map(|id| Some((id.clone(), (*agent.template(id).ok()?).clone())))
            .collect();
        for (id, prompt) in &now {
            match self.prompts.get(id) {
                Some(same) if same == prompt => {}
                Some(_) => say(settings, "reloaded", id)?,
                None => say(settings, "overridden", id)?,
            }
        }
        for id in self.prompts.keys().filter(|id| !now.contains_key(*id)) {
            say(settings, "no longer overridden", id)?;
        }
        for problem in local.problems.iter().filter(|problem| !self.problems.contains(problem)) {
            say(settings, "not usable, the last that was stays", problem)?;
        }
        if !self.before && now.is_empty() && !settings.json {
            show::text("nothing is overridden yet: write a file such as welcome.md\n")?;
        }
        (self.prompts, self.problems, self.before) = (now, local.problems, true);
        Ok(())
    }
}

fn say(settings: &Settings, event: &str, what: &str) -> Result<(), Failure> {
    if settings.json {
        return show::json(&json!({ "event": event, "what": what }));
    }
    show::text(&format!("{event}: {what}\n"))
}
