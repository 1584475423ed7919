//! Takes up the events of the fleet and writes them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use publisher::Broker;
use publisher::fleet::{FleetEvent, Presence, Responder, Signed};
use schemas::status::{AgentStatus, EnrolAnswer, EnrolRequest, Mode};
use schemas::{Micros, Scope};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::census::Census;
use super::enrol::{self, Answered};
use super::read::{Heard, answers_of, plain, row_of, state_word};
use super::shown::Shown;
use super::silence::Silence;
use super::usage::{Meter, Word};
use crate::author::ProjectAt;
use crate::clock;
use crate::database::Conn;
use crate::database::agent::{self, Acknowledgement, Agent};
use crate::database::project::Environment;
use crate::database::{credential, project, publication};
use crate::error::{ApiError, Result, chain};
use crate::events::Kind;
use crate::state::AppState;
use crate::webhook::emit;

/// Statuses are written at the latest so long after the first of a batch came.
const GATHER: Duration = Duration::from_millis(200);
/// A quiet fleet is written at once: nothing more came for so long.
const QUIET: Duration = Duration::from_millis(5);
const BATCH_MAX: usize = 2000;
/// An agent names its connection after itself, behind this.
const CONNECTION: &str = "live ";
/// Who uses a credential is written so long after it was heard: once, whoever else comes meanwhile.
const USES: Duration = Duration::from_secs(1);
/// Enrolments that are answered at once.
const ENROLMENTS: usize = 16;
/// Enrolments that wait to be answered. Above that they are dropped, and the agents ask again.
const ENROLMENTS_WAITING: usize = 4096;
/// Answers of one status that are taken up; the next status gives the others.
const ANSWERS_MAX: usize = 256;
/// Above so many publications that were looked up, they are looked up again.
const PUBLICATIONS_MAX: usize = 100_000;
/// That statuses are dropped is logged again after this.
const DROPPED_AGAIN: Duration = Duration::from_secs(60);
/// A frozen agent's consumer is paused anew this often, well before the pause ends.
const PAUSE_AGAIN: Micros = 6 * 3600 * 1_000_000;

/// Listens until `stop`.
pub async fn run(state: AppState, stop: CancellationToken) {
    stop.run_until_cancelled(async {
        let broker = state.broker.found().await;
        loop {
            match broker.fleet().await {
                Ok(events) => {
                    let mut ingest = Ingest::new(state.clone(), broker.clone());
                    ingest.listen(events).await;
                }
                Err(error) => tracing::warn!(error = %chain(&error), "agents cannot be heard"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
}

/// What is known of one agent's last word, so that it is not written twice.
#[derive(Default)]
struct Known {
    /// Publication and state of every answer written.
    answers: HashSet<(String, &'static str)>,
    mode: Mode,
    paused_at: Micros,
}

struct Ingest {
    state: AppState,
    broker: Broker,
    scopes: HashMap<Scope, Option<Arc<(ProjectAt, Environment)>>>,
    agents: HashMap<(String, String), Known>,
    /// Publications by id, with environment and number; none where there is no such publication. Ids are made here
    /// and by nobody else, so that what is not there does not come to be.
    publications: HashMap<String, Option<(String, i64)>>,
    enrolments: Arc<Semaphore>,
    enrolments_waiting: Arc<Semaphore>,
    census: Census,
    shown: Shown,
    silence: Silence,
    meter: Meter,
    /// Who was heard to use which credential, and not written yet; since when.
    uses: HashMap<String, Use>,
    uses_since: Option<Instant>,
    dropped_said: Option<Instant>,
}

/// The statuses that tell of use.
fn words<'a>(
    statuses: impl Iterator<Item = (&'a Arc<(ProjectAt, Environment)>, &'a AgentStatus)>,
) -> Vec<Word<'a>> {
    let told = statuses.filter(|(_, status)| !status.usage.is_empty());
    told.map(|(place, status)| Word { project_id: &place.0.project.id, environment_id: &place.1.id, status })
        .collect()
}

/// The last use of a credential.
struct Use {
    at: Micros,
    agent: String,
    address: String,
}

impl Ingest {
    fn new(state: AppState, broker: Broker) -> Self {
        Self {
            census: Census::new(&state.config),
            silence: Silence::new(&state.config),
            state,
            broker,
            scopes: HashMap::new(),
            agents: HashMap::new(),
            publications: HashMap::new(),
            enrolments: Arc::new(Semaphore::new(ENROLMENTS)),
            enrolments_waiting: Arc::new(Semaphore::new(ENROLMENTS_WAITING)),
            shown: Shown::default(),
            meter: Meter::default(),
            uses: HashMap::new(),
            uses_since: None,
            dropped_said: None,
        }
    }

    async fn listen(&mut self, mut events: futures::stream::BoxStream<'static, FleetEvent>) {
        let mut batch: Vec<Heard> = Vec::new();
        let mut flush_at = Instant::now();
        loop {
            let uses_at = self.uses_since.map(|since| since + USES);
            if uses_at.is_some_and(|at| at <= Instant::now()) {
                self.write_uses().await;
                continue;
            }
            let batch_at = (!batch.is_empty()).then(|| flush_at.min(Instant::now() + QUIET));
            let event = match [uses_at, batch_at].into_iter().flatten().min() {
                None => events.next().await,
                Some(until) => match tokio::time::timeout_at(until, events.next()).await {
                    Ok(event) => event,
                    Err(_) => {
                        if batch_at.is_some_and(|at| at <= Instant::now()) {
                            self.flush(&mut batch).await;
                        }
                        continue;
                    }
                },
            };
            match event {
                Some(FleetEvent::Status(status, bytes)) => {
                    if !self.census.hears(&status.scope, bytes) {
                        self.drop_status();
                        continue;
                    }
                    if batch.is_empty() {
                        flush_at = Instant::now() + GATHER;
                    }
                    batch.push(Heard { status, at: clock::now() });
                    if batch.len() >= BATCH_MAX || Instant::now() >= flush_at {
                        self.flush(&mut batch).await;
                    }
                }
                Some(FleetEvent::Enrol(request, responder)) => self.enrol(request, responder),
                Some(FleetEvent::Connected(who)) => self.presence(&who, true).await,
                Some(FleetEvent::Disconnected(who)) => self.presence(&who, false).await,
                None => {
                    self.flush(&mut batch).await;
                    return;
                }
            }
        }
    }

    async fn flush(&mut self, batch: &mut Vec<Heard>) {
        let batch = std::mem::take(batch);
        if batch.is_empty() {
            return;
        }
        let Err(error) = self.write(&batch).await else { return };
        self.forget();
        let mut parts: HashMap<Scope, Vec<Heard>> = HashMap::new();
        let statuses = batch.len();
        for heard in batch {
            parts.entry(heard.status.scope.clone()).or_default().push(heard);
        }
        if parts.len() < 2 || matches!(error, ApiError::Unavailable(_)) {
            tracing::warn!(error = %chain(&error), statuses, "statuses were not written");
            return;
        }
        // What one environment's agents say is no reason not to write what the others' do.
        for (scope, part) in parts {
            let Err(error) = self.write(&part).await else { continue };
            self.forget();
            tracing::warn!(stream.scope = %scope, error = %chain(&error), statuses = part.len(), "statuses were not written");
            if matches!(error, ApiError::Unavailable(_)) {
                return;
            }
        }
    }

    /// After a write that failed: the next status of each agent says the same again.
    fn forget(&mut self) {
        self.agents.clear();
        self.silence.forget();
        self.census.forget();
        self.meter.forget();
    }

    /// The environment of a scope, if there is one.
    async fn environment(&mut self, scope: &Scope) -> Result<Option<Arc<(ProjectAt, Environment)>>> {
        if let Some(Some(known)) = self.scopes.get(scope) {
            return Ok(Some(Arc::clone(known)));
        }
        let mut conn = self.state.database.read().await?;
        let found = project::by_slugs(&mut conn, scope.organisation.as_str(), scope.project.as_str()).await?;
        let found = match found {
            None => None,
            Some((organisation, project)) => {
                project::environment(&mut conn, &project.id, scope.environment.as_str())
                    .await?
                    .map(|e| Arc::new((ProjectAt { organisation, project }, e)))
            }
        };
        self.scopes.insert(scope.clone(), found.clone());
        Ok(found)
    }

    async fn write(&mut self, batch: &[Heard]) -> Result<()> {
        let mut places = Vec::with_capacity(batch.len());
        for heard in batch {
            places.push(self.environment(&heard.status.scope).await?);
        }
        let uses = words(
            batch
                .iter()
                .zip(&places)
                .filter_map(|(heard, place)| place.as_ref().map(|place| (place, heard.status.as_ref()))),
        );
        self.meter.learn(&self.state, &uses).await;
        let mut tx = self.state.database.write().await?;
        // The last word of each agent is what it is; answers are taken from every word.
        // Both in one order for everybody: another FORGE writes the same rows at the same time.
        let mut rows: BTreeMap<(String, String), Agent> = BTreeMap::new();
        let mut answers: BTreeMap<(String, String, String), Acknowledgement> = BTreeMap::new();
        let mut touched: HashMap<String, Arc<(ProjectAt, Environment)>> = HashMap::new();
        let mut modes: Vec<(Arc<(ProjectAt, Environment)>, &AgentStatus)> = Vec::new();
        for (heard, place) in batch.iter().zip(places) {
            let status = heard.status.as_ref();
            let Some(place) = place else { continue };
            let environment_id = place.1.id.clone();
            if !self.census.admits(&mut tx, &environment_id, status.agent.as_str(), heard.at).await? {
                self.drop_status();
                continue;
            }
            let key = (environment_id.clone(), status.agent.to_string());
            let known = self.agents.get(&key);
            let news = answers_of(heard).into_iter().filter(|answer| {
                let here = match self.publications.get(&answer.publication_id) {
                    Some(Some((published_to, _))) => *published_to == environment_id,
                    Some(None) => false,
                    None => true,
                };
                let said = (answer.publication_id.clone(), state_word(&answer.state));
                here && known.is_none_or(|k| !k.answers.contains(&said))
            });
            for answer in news.take(ANSWERS_MAX) {
                let key = (environment_id.clone(), answer.publication_id.clone(), answer.agent.clone());
                answers.insert(key, answer);
            }
            rows.insert(key, row_of(&environment_id, heard));
            touched.insert(environment_id, Arc::clone(&place));
            modes.push((place, status));
        }
        self.learn_publications(&mut tx, answers.keys().map(|(_, id, _)| id.clone())).await?;
        // Nobody answers for another environment.
        answers.retain(|(environment, id, _), _| {
            matches!(self.publications.get(id), Some(Some((published_to, _))) if published_to == environment)
        });
        let refused: Vec<_> = answers
            .iter()
            .filter(|(_, answer)| answer.state == "refused")
            .filter_map(|((environment, id, _), answer)| {
                let (_, number) = self.publications.get(id)?.as_ref()?;
                Some((environment.clone(), *number, answer.clone()))
            })
            .collect();
        let rows: Vec<_> = rows.into_values().collect();
        let answers: Vec<_> = answers.into_values().collect();
        let news = self.silence.news(&rows, refused);
        let held_back = emit::fleet(&mut tx, &touched, &news).await?;
        agent::put_all(&mut tx, &rows).await?;
        agent::put_acknowledgements(&mut tx, &answers).await?;
        let uses = words(modes.iter().map(|(place, status)| (place, *status)));
        self.meter.count(&mut tx, &uses).await?;
        tx.commit().await?;
        self.census.settle();
        self.meter.settle();
        self.silence.settle(&news, &held_back);

        for answer in &answers {
            let Some(Some((environment, _))) = self.publications.get(&answer.publication_id) else {
                continue;
            };
            let environment = environment.clone();
            let known = self.agents.entry((environment, answer.agent.clone())).or_default();
            if known.answers.len() > 512 {
                known.answers.clear();
            }
            known.answers.insert((answer.publication_id.clone(), state_word(&answer.state)));
        }
        self.tell(&answers, &touched);
        for (place, status) in &modes {
            self.shown.look(&self.state, &self.census, place, status).await;
        }
        self.shadow(modes);
        Ok(())
    }

    /// Looks up those of these publications that are not known here.
    async fn learn_publications(&mut self, conn: &mut Conn, ids: impl Iterator<Item = String>) -> Result<()> {
        let ids: HashSet<String> = ids.collect();
        let missing: Vec<String> = ids.into_iter().filter(|id| !self.publications.contains_key(id)).collect();
        if !missing.is_empty() {
            if self.publications.len() > PUBLICATIONS_MAX {
                self.publications.clear();
            }
            let found = publication::known(conn, &missing).await?;
            self.publications.extend(missing.into_iter().map(|id| (id, None)));
            for (id, environment, number) in found {
                self.publications.insert(id, Some((environment, number)));
            }
        }
        Ok(())
    }

    /// One word of an agent is not taken up: too many come, or there are too many who speak.
    fn drop_status(&mut self) {
        self.state.statuses_dropped.fetch_add(1, Ordering::Relaxed);
        if self.dropped_said.is_none_or(|at| at.elapsed() > DROPPED_AGAIN) {
            self.dropped_said = Some(Instant::now());
            tracing::warn!(
                max_agents = self.state.config.max_agents,
                "statuses of agents are dropped: an environment has more agents than max-agents, or they speak too often"
            );
        }
    }

    fn tell(&self, answers: &[Acknowledgement], touched: &HashMap<String, Arc<(ProjectAt, Environment)>>) {
        let events = &self.state.events;
        let ids: HashSet<&String> = answers.iter().map(|a| &a.publication_id).collect();
        for id in ids {
            let Some(Some((environment, number))) = self.publications.get(id) else { continue };
            if let Some(place) = touched.get(environment) {
                let kind = Kind::Publication { id: id.clone(), number: *number };
                events.tell(&place.0.organisation.id, &place.0.project.id, kind);
            }
        }
        for (environment_id, place) in touched {
            let kind = Kind::Agents { environment_id: environment_id.clone() };
            events.tell(&place.0.organisation.id, &place.0.project.id, kind);
        }
    }

    /// The pause of a consumer follows its agent's mode.
    fn shadow(&mut self, modes: Vec<(Arc<(ProjectAt, Environment)>, &AgentStatus)>) {
        for (place, status) in modes {
            let known = self.agents.entry((place.1.id.clone(), status.agent.to_string())).or_default();
            let now = clock::now();
            let pause = status.mode == Mode::Frozen && now - known.paused_at > PAUSE_AGAIN;
            let resume = status.mode == Mode::Accepting && known.mode == Mode::Frozen;
            known.mode = status.mode;
            known.paused_at = match status.mode {
                Mode::Frozen if pause => now,
                Mode::Frozen => known.paused_at,
                Mode::Accepting => 0,
            };
            if !pause && !resume {
                continue;
            }
            let (broker, scope, agent) = (self.broker.clone(), status.scope.clone(), status.agent.clone());
            tokio::spawn(async move {
                let done = if pause {
                    broker.pause(&scope, &agent).await
                } else {
                    broker.resume(&scope, &agent).await
                };
                if let Err(error) = done {
                    tracing::warn!(agent.id = %agent, error = %chain(&error), "the consumer's pause does not follow the agent's mode yet");
                }
            });
        }
    }

    fn enrol(&mut self, request: EnrolRequest, responder: Responder) {
        let (state, broker) = (self.state.clone(), self.broker.clone());
        let permits = Arc::clone(&self.enrolments);
        let place = Arc::clone(&self.enrolments_waiting).try_acquire_owned();
        let (true, Ok(place)) = (self.census.enrols(&request.scope), place) else {
            tracing::debug!(stream.scope = %request.scope, agent.id = %request.agent, "too many enrol at once; it asks again");
            return;
        };
        tokio::spawn(async move {
            let _place = place;
            let Ok(_permit) = permits.acquire_owned().await else { return };
            let answered = enrol::answer(&state, &broker, &request).await.unwrap_or_else(|error| {
                tracing::warn!(agent.id = %request.agent, error = %chain(&error), "enrolment failed");
                let answer = EnrolAnswer::Refused {
                    code: EnrolAnswer::UNAVAILABLE.into(),
                    message: "forge cannot enrol at the moment; ask again".into(),
                };
                Answered { answer, signed: None }
            });
            let signed = answered.signed.as_ref().map(|(signer, enrolment)| Signed {
                keys: &signer.keys,
                certificate: &signer.certificate,
                trust: signer.trust.as_deref(),
                enrolment: enrolment.clone(),
            });
            if let Err(error) = responder.answer(&answered.answer, signed).await {
                tracing::warn!(agent.id = %request.agent, error = %chain(&error), "enrolment was not answered");
            }
        });
    }

    async fn write_uses(&mut self) {
        self.uses_since = None;
        let uses = std::mem::take(&mut self.uses);
        let count = uses.len();
        let write = async {
            let mut tx = self.state.database.write().await?;
            for (user, Use { at, agent, address }) in uses {
                credential::seen(&mut tx, &user, at, &agent, &address).await?;
            }
            tx.commit().await
        };
        if let Err(error) = write.await {
            tracing::warn!(error = %chain(&error), credentials = count, "the last use of credentials was not noted");
        }
    }

    async fn presence(&mut self, who: &Presence, connected: bool) {
        if let Err(error) = self.note_presence(who, connected).await {
            tracing::debug!(error = %chain(&error), "presence was not noted");
        }
    }

    async fn note_presence(&mut self, who: &Presence, connected: bool) -> Result<()> {
        let now = clock::now();
        let mut conn = self.state.database.read().await?;
        // FORGE's own connections have none.
        let Some(found) = credential::by_key(&mut conn, &who.user).await? else { return Ok(()) };
        drop(conn);
        let name = plain(who.name.strip_prefix(CONNECTION).unwrap_or(&who.name), 100);
        let address = plain(&who.address, 100);
        self.uses.insert(who.user.clone(), Use { at: now, agent: name.clone(), address });
        self.uses_since.get_or_insert_with(Instant::now);
        if !connected {
            let mut tx = self.state.database.write().await?;
            agent::disconnected(&mut tx, &found.environment_id, &name, now).await?;
            tx.commit().await?;
        }
        let mut conn = self.state.database.read().await?;
        if let Some((organisation, project, _)) =
            project::environment_by_id(&mut conn, &found.environment_id).await?
        {
            let kind = Kind::Agents { environment_id: found.environment_id };
            self.state.events.tell(&organisation.id, &project.id, kind);
        }
        Ok(())
    }
}
