//! `live run`: an agent in the foreground.

use clap::Args;
use live_agent::{Change, LiveAgent, Values};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::ask::Given;
use crate::ends::Ends;
use crate::exit::Failure;
use crate::options::Settings;
use crate::show;

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Renders this prompt at the start and at each change
    #[arg(long, value_name = "PROMPT")]
    print: Option<String>,
    #[command(flatten)]
    given: Given,
}

impl Run {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        let mut ends = Ends::listen()?;
        let Some(started) = ends.unless(settings.builder()?.start()).await else { return Ok(()) };
        let agent = started?;
        let mut changes = agent.subscribe();
        let local = agent.local_status();
        if settings.json {
            show::json(&json!({ "event": "started", "status": local }))?;
        } else {
            let sets = show::counted(local.status.sets.len(), "set");
            let contact = local.contact.map_or("never".into(), show::ago);
            show::text(&format!(
                "agent {} of {} is {}; {sets} from {}, last contact {contact}\n",
                local.status.agent,
                local.status.scope,
                local.status.mode.as_str(),
                local.status.cache
            ))?;
        }
        self.print(&agent, settings)?;
        loop {
            tokio::select! {
                () = ends.told() => break,
                change = changes.recv() => match change {
                    Ok(change) => {
                        told(&change, settings)?;
                        self.print(&agent, settings)?;
                    }
                    Err(RecvError::Lagged(_)) => self.print(&agent, settings)?,
                    Err(RecvError::Closed) => break,
                },
            }
        }
        agent.stop().await;
        Ok(())
    }

    fn print(&self, agent: &LiveAgent, settings: &Settings) -> Result<(), Failure> {
        let Some(id) = &self.print else { return Ok(()) };
        let rendered = match agent.template(id) {
            Ok(source) => {
                let values = Values::from_json(self.given.values(Some(&source))?);
                agent.prompt(id, &values)
            }
            Err(error) => Err(error),
        };
        match (rendered, settings.json) {
            (Ok(text), true) => show::json(&json!({ "event": "prompt", "id": id, "text": text })),
            (Ok(text), false) => show::text(&format!("--- {id} ---\n{text}\n---\n")),
            (Err(error), true) => {
                show::json(&json!({ "event": "error", "id": id, "message": error.to_string() }))
            }
            (Err(error), false) => show::text(&format!("--- {id} ---\n({error})\n---\n")),
        }
    }
}

fn told(change: &Change, settings: &Settings) -> Result<(), Failure> {
    if settings.json {
        return show::json(&json!({ "event": "change", "change": change }));
    }
    let from = change.from.as_ref().map_or("nothing".into(), |from| from.version.to_string());
    let (set, to) = (&change.set, &change.to);
    show::text(&format!("@{set} {from} -> {} (serial {}, {})\n", to.version, to.serial, to.digest.short()))
}
