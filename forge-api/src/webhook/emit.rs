//! Events, written into the outbox within the transaction that does the thing.
//!
//! What people do is told where it is recorded: the audit log's entry is the event. What agents say and what the
//! broker took has no entry there, and is told by whoever writes it down.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use schemas::Micros;
use serde_json::{Value, json};

use super::EVENTS;
use crate::author::ProjectAt;
use crate::clock;
use crate::database::agent::Acknowledgement;
use crate::database::organisation::{self, Organisation};
use crate::database::project::{self, Environment};
use crate::database::publication::PublicationFull;
use crate::database::told::{self, Told};
use crate::database::webhook::{self, Delivery};
use crate::database::{Conn, DatabaseError};

/// Format of a payload. It only grows within a version.
const VERSION: u32 = 1;
/// Deliveries that wait for one webhook at most; what comes then is not sent to it.
pub(crate) const WAITING_MAX: i64 = 10_000;
/// Names of agents that one event holds.
const NAMED: usize = 20;
/// An agent that hears FORGE now and then is told of once in this time.
const QUIET: Micros = 3600 * 1_000_000;

/// What an entry of the audit log is as an event.
fn event_of(action: &str) -> Option<&'static str> {
    let name = if action == "version.published" { "publication.created" } else { action };
    EVENTS.iter().map(|(event, _)| *event).find(|event| *event == name)
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) struct Event<'a> {
    pub(crate) name: &'a str,
    pub(crate) organisation: &'a Organisation,
    /// Its slug.
    pub(crate) project: Option<&'a str>,
    /// `organisation/project/set` and more, as the audit log names it.
    pub(crate) subject: &'a str,
    /// Empty: nobody did it.
    pub(crate) actor: &'a str,
    pub(crate) data: Value,
}

/// A delivery that waits to be sent.
pub(crate) fn waiting(webhook_id: &str, event: &str, subject: &str, payload: String) -> Delivery {
    let now = clock::now();
    Delivery {
        id: clock::new_id(),
        webhook_id: webhook_id.into(),
        event: event.into(),
        subject: subject.into(),
        payload,
        state: "waiting".into(),
        attempts: 0,
        not_before: now,
        lease_until: 0,
        created_at: now,
        sent_at: None,
        status: None,
        duration_us: None,
        answer: None,
        error: None,
    }
}

impl Event<'_> {
    /// Where people read on.
    fn path(&self) -> String {
        let words: Vec<&str> = self.subject.split([' ', '@']).next().unwrap_or_default().split('/').collect();
        let number = &self.data["publication"];
        match (words.as_slice(), number.as_i64()) {
            ([o, p, ..], Some(number)) => format!("/{o}/{p}/-/publications/{number}"),
            ([o, p, ..], None) if self.name.starts_with("agent.") => format!("/{o}/{p}/-/agents"),
            ([o, p, set, ..], None) => format!("/{o}/{p}/{set}"),
            _ => format!("/{}", words.join("/")),
        }
    }

    /// What is sent, to every webhook the same. Under which address people reach us is known to who sends.
    pub(crate) fn payload(&self) -> String {
        let payload = json!({
            "version": VERSION,
            "id": clock::new_id(),
            "event": self.name,
            "at": clock::rfc3339(clock::now()),
            "organisation": self.organisation.slug,
            "project": self.project,
            "subject": self.subject,
            "actor": Some(self.actor).filter(|actor| !actor.is_empty()),
            "url": self.path(),
            "data": self.data,
        });
        payload.to_string()
    }

    /// Puts it into the outbox for every webhook that is told of it.
    async fn enqueue(&self, conn: &mut Conn) -> Result<(), DatabaseError> {
        let mut told = webhook::of_organisation(conn, &self.organisation.id).await?;
        told.retain(|to| to.enabled && to.events.split(' ').any(|event| event == self.name));
        if told.is_empty() {
            return Ok(());
        }
        let project_id = match self.project {
            Some(slug) => project::by_slugs(conn, &self.organisation.slug, slug).await?.map(|(_, p)| p.id),
            None => None,
        };
        told.retain(|to| to.project_id.is_none() || to.project_id == project_id);
        let payload = self.payload();
        let mut rows = Vec::with_capacity(told.len());
        for to in &told {
            if webhook::waiting(conn, &to.id).await? >= WAITING_MAX {
                tracing::warn!(webhook.id = %to.id, webhook.event = self.name, "too much waits for a webhook");
                continue;
            }
            rows.push(waiting(&to.id, self.name, self.subject, payload.clone()));
        }
        webhook::enqueue(conn, &rows).await
    }
}

/// Tells what the audit log records, if it is an event. `chain` is an organisation's id.
///
/// # Errors
/// The database refuses.
pub(crate) async fn recorded(
    conn: &mut Conn,
    chain: &str,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &Value,
) -> Result<(), DatabaseError> {
    let Some(name) = event_of(action) else { return Ok(()) };
    let Some(organisation) = organisation::by_id(conn, chain).await? else { return Ok(()) };
    let project = subject.split('/').nth(1);
    let event = Event { name, organisation: &organisation, project, subject, actor, data: detail.clone() };
    event.enqueue(conn).await
}

/// Tells that the broker has a publication.
///
/// # Errors
/// The database refuses.
pub(crate) async fn sent(
    conn: &mut Conn,
    at: &ProjectAt,
    full: &PublicationFull,
) -> Result<(), DatabaseError> {
    let subject =
        format!("{}/{}@{} to {}", at.path(), full.set.slug, full.version.version, full.environment.slug);
    let data = json!({
        "publication": full.publication.number, "serial": full.publication.serial,
        "digest": full.version.digest, "rollback": full.publication.rollback,
    });
    let event = Event {
        name: "publication.sent",
        organisation: &at.organisation,
        project: Some(&at.project.slug),
        subject: &subject,
        actor: &full.publication.published_by,
        data,
    };
    event.enqueue(conn).await
}

/// An environment, as the fleet's task knows it.
pub(crate) type Place = Arc<(ProjectAt, Environment)>;

/// Environment, number of the publication, and the answer.
pub(crate) type Refused = (String, i64, Acknowledgement);

/// What agents said that may be news.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) refused: Vec<Refused>,
    /// Who does not hear FORGE, and for how long already is more than a moment.
    pub(crate) stale: Vec<Stale>,
    /// Environment and name of those who hear it.
    pub(crate) current: Vec<(String, String)>,
}

/// An agent that does not hear FORGE.
#[derive(Debug, Clone)]
pub(crate) struct Stale {
    pub(crate) environment_id: String,
    pub(crate) agent: String,
    pub(crate) reason: Option<String>,
}

/// Tells which agents refused something or became stale: each refusal of a publication by an agent once, however often
/// it says so and however many processes hear it; of one that is stale anew at most once in [`QUIET`]. One event for
/// each publication and kind of reason, and one for each environment. Gives environment and name of those who are stale
/// and were held back, because it was told of them too lately.
///
/// # Errors
/// The database refuses.
pub(crate) async fn fleet(
    conn: &mut Conn,
    places: &HashMap<String, Place>,
    news: &News,
) -> Result<HashSet<(String, String)>, DatabaseError> {
    for (environment, names) in by_environment(news.current.iter().map(|(e, agent)| (e, agent))) {
        told::end_stale(conn, environment, &names).await?;
    }
    let (token, now) = (clock::new_id(), clock::now());
    let row = |environment: &str, agent: &str, what: &str| Told {
        environment_id: environment.into(),
        agent: agent.into(),
        what: what.into(),
        token: token.clone(),
        told_at: now,
        ended: false,
    };
    let refused = news.refused.iter().map(|(e, _, answer)| row(e, &answer.agent, &answer.publication_id));
    let stale = news.stale.iter().map(|stale| row(&stale.environment_id, &stale.agent, told::STALE));
    // No row stands twice among them, and they come in one order from everybody.
    let rows: BTreeSet<Told> = refused.chain(stale).collect();
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<Told> = rows.into_iter().collect();
    told::take(conn, &rows, now - QUIET).await?;
    let taken: HashSet<(String, String, String)> = told::taken(conn, &token)
        .await?
        .into_iter()
        .map(|told| (told.environment_id, told.agent, told.what))
        .collect();
    let is_ours = |environment: &str, agent: &str, what: &str| {
        taken.contains(&(environment.to_owned(), agent.to_owned(), what.to_owned()))
    };
    let refused: Vec<&Refused> =
        news.refused.iter().filter(|(e, _, a)| is_ours(e, &a.agent, &a.publication_id)).collect();
    let (mine, others): (Vec<&Stale>, Vec<&Stale>) =
        news.stale.iter().partition(|stale| is_ours(&stale.environment_id, &stale.agent, told::STALE));
    refusals(conn, places, &refused).await?;
    silences(conn, places, &mine).await?;
    let mut held_back = HashSet::new();
    for (environment, names) in by_environment(others.iter().map(|s| (&s.environment_id, &s.agent))) {
        let names = told::held_back(conn, environment, &names).await?;
        held_back.extend(names.into_iter().map(|name| (environment.to_owned(), name)));
    }
    Ok(held_back)
}

fn by_environment<'a>(
    agents: impl Iterator<Item = (&'a String, &'a String)>,
) -> BTreeMap<&'a str, Vec<String>> {
    let mut out: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (environment, agent) in agents {
        out.entry(environment).or_default().push(agent.clone());
    }
    out
}

async fn refusals(
    conn: &mut Conn,
    places: &HashMap<String, Place>,
    refused: &[&Refused],
) -> Result<(), DatabaseError> {
    // Agents of different programs refuse for different reasons: each is told with who gave it.
    let mut by_reason: BTreeMap<(&str, i64, Option<&str>), Vec<&Acknowledgement>> = BTreeMap::new();
    for (environment, number, answer) in refused {
        by_reason.entry((environment, *number, answer.reason_code.as_deref())).or_default().push(answer);
    }
    for ((environment, number, code), answers) in by_reason {
        let Some((place, why)) = places.get(environment).zip(answers.first()) else { continue };
        let names: Vec<&str> = answers.iter().map(|answer| answer.agent.as_str()).collect();
        let data = json!({
            "environment": place.1.slug, "publication": number, "count": names.len(),
            "agents": names.get(..names.len().min(NAMED)), "reason_code": code, "reason": why.reason,
        });
        of_fleet(conn, place, "agent.refused", data).await?;
    }
    Ok(())
}

async fn silences(
    conn: &mut Conn,
    places: &HashMap<String, Place>,
    stale: &[&Stale],
) -> Result<(), DatabaseError> {
    let mut by_place: BTreeMap<&str, Vec<&Stale>> = BTreeMap::new();
    for one in stale {
        by_place.entry(&one.environment_id).or_default().push(one);
    }
    for (environment, agents) in by_place {
        let Some((place, first)) = places.get(environment).zip(agents.first()) else { continue };
        let names: Vec<&str> = agents.iter().map(|one| one.agent.as_str()).collect();
        let data = json!({
            "environment": place.1.slug, "count": names.len(),
            "agents": names.get(..names.len().min(NAMED)), "reason": first.reason,
        });
        of_fleet(conn, place, "agent.stale", data).await?;
    }
    Ok(())
}

async fn of_fleet(conn: &mut Conn, place: &Place, name: &str, data: Value) -> Result<(), DatabaseError> {
    let (at, environment) = &**place;
    let subject = format!("{} in {}", at.path(), environment.slug);
    let project = Some(at.project.slug.as_str());
    let event = Event { name, organisation: &at.organisation, project, subject: &subject, actor: "", data };
    event.enqueue(conn).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_leads_to_its_page() {
        let organisation =
            Organisation { id: "o".into(), slug: "acme".into(), name: "Acme".into(), created_at: 0 };
        let path = |name: &'static str, subject: &'static str, data: Value| {
            let project = Some("support");
            Event { name, organisation: &organisation, project, subject, actor: "", data }.path()
        };
        assert_eq!(path("set.locked", "acme/support/chat", json!({})), "/acme/support/chat");
        let data = json!({ "publication": 7 });
        let subject = "acme/support/chat@1.0.0 to prod";
        assert_eq!(path("publication.created", subject, data), "/acme/support/-/publications/7");
        assert_eq!(path("agent.stale", "acme/support in prod", json!({})), "/acme/support/-/agents");
        assert_eq!(event_of("version.published"), Some("publication.created"));
        assert_eq!(event_of("webhook.created"), None);
    }
}
