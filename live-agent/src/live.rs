//! [`LiveAgent`]: what a host holds.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use schemas::status::{AgentStatus, Mode, SetStatus};
use schemas::template::{CompiledPrompt, RenderedMessage, Values};
use schemas::{Micros, Slug};
use tokio::sync::{Mutex, broadcast, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::agent::{Change, Core, LOOK};
use crate::client::{Link, Session, around};
use crate::config::{Builder, CachePlace, ConfigError, Credential};
use crate::follow::{self, Command, ledger};
use crate::health::Health;
use crate::render::{Listed, PromptError, Template};
use crate::report::tally::Call;
use crate::store::StoreError;
use crate::switch::{Switch, SwitchError};
use crate::{control, renew, report};

pub(crate) mod bake;
mod held;
mod notify;
mod runtime;

pub use held::Waiting;
use runtime::aside;

const COMMANDS_WAITING: usize = 16;
/// A credential that is refused so often will not be taken soon. Fewer may be a broker that has come
/// back empty and is being filled.
const REFUSALS: u32 = 5;
/// An old connection is gone this long after another one has taken its place.
const OLD_GONE: Duration = Duration::from_secs(1);
/// What an agent says that follows nobody.
const ALONE: &str = "this agent serves a folder and follows nobody";
/// How long a sync waits for its answer.
const SYNC: Duration = Duration::from_secs(30);
const SYNC_ATTEMPTS: usize = 2;

/// Why an agent did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    #[error("the broker cannot be reached: {0}")]
    Unreachable(String),
    #[error("the mode holds only until the process ends: {0}")]
    NotStored(#[source] StoreError),
    #[error("the bundles cannot be written")]
    Bake(#[source] std::io::Error),
    #[error("nothing is written: {0}")]
    NotBaked(String),
    #[error("the credential is not taken up, the one in use stays: {0}")]
    Credential(String),
    #[error(
        "the configuration pins {set} to {versions}: change it there, or pin {set} to * here, which takes all"
    )]
    Configured { set: Slug, versions: semver::VersionReq },
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
    #[error("the agent is stopped")]
    Stopped,
}

/// What a sync found.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
#[cfg_attr(feature = "serve", derive(schemars::JsonSchema))]
pub struct SyncReport {
    pub mode: Mode,
    /// What is active, and what is pending: in FROZEN, what ACCEPTING would take up.
    pub sets: Vec<SetStatus>,
}

/// The status of an agent, and what only its own host knows.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
#[cfg_attr(feature = "serve", derive(schemars::JsonSchema))]
pub struct LocalStatus {
    #[serde(flatten)]
    pub status: AgentStatus,
    pub connected: bool,
    /// Why the broker does not let the agent in, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// When FORGE or the broker last agreed with what is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Micros>,
    /// How often the connection was made.
    #[serde(default)]
    pub connects: u64,
    /// What was refused since the start, by its code.
    #[serde(default)]
    pub refusals: BTreeMap<String, u64>,
    /// What is wrong with files of local overrides, each with its place. The last that could be used stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// An agent inside its host. Cheap to clone; the agent ends when the last clone is dropped, or by
/// [`LiveAgent::stop`].
///
/// It does not outlive a `fork`: its tasks run on threads of the runtime, which stay in the parent, and the child
/// has a copy of its sockets and of the lock of its cache. A host that forks (a pre-forking server, a daemon that puts
/// itself into the background) forks first and starts an agent in each process after. Starting another program
/// (`std::process::Command`) is no such fork: the agent's files and sockets are closed there.
#[derive(Debug, Clone)]
pub struct LiveAgent {
    handle: Handle,
    tasks: Arc<Mutex<Vec<AbortOnDropHandle<()>>>>,
}

/// What the agent's own tasks hold of it: everything but its life.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) core: Arc<Core>,
    /// None where nobody is followed.
    switch: Option<Arc<Switch>>,
    commands: mpsc::Sender<Command>,
    /// Where the agent was made; none where that was on a thread without a runtime.
    runtime: Option<tokio::runtime::Handle>,
}

impl LiveAgent {
    /// Begins the configuration of an agent.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn run(core: Arc<Core>) -> Result<Self, ConfigError> {
        {
            let state = core.state();
            tracing::info!(
                agent.id = %core.name, agent.mode = state.mode.as_str(), agent.cache = %state.cache,
                agent.sets = state.sets.len(), scope = %core.trust.scope(), "the agent starts"
            );
        }
        let switch = Arc::new(Switch::start(core.config.entry(), core.name.as_str()).await?);
        let (commands, received) = mpsc::channel(COMMANDS_WAITING);
        let runtime = tokio::runtime::Handle::try_current().ok();
        let handle = Handle { core, switch: Some(Arc::clone(&switch)), commands, runtime };
        let mut tasks = if handle.core.config.looks { Vec::new() } else { handle.tell_and_obey(&switch) };
        let received = Arc::new(Mutex::new(received));
        // The follower must not hold a sender of its own commands.
        let core = Arc::clone(&handle.core);
        let follow = follow::supervise("follow", move || {
            let (core, received) = (Arc::clone(&core), Arc::clone(&received));
            connected(Arc::clone(&switch), move |session| {
                let (core, received) = (Arc::clone(&core), Arc::clone(&received));
                async move { follow::run(&core, &session.client, session.link, &mut *received.lock().await).await }
            })
        });
        tasks.push(AbortOnDropHandle::new(tokio::spawn(follow)));
        if let CachePlace::Disk(dir) = handle.core.config.cache.clone()
            && !handle.core.config.looks
        {
            tasks.push(spawn("control", handle.clone(), move |h| {
                let dir = dir.clone();
                async move {
                    // Whoever shares another one's cache is asked once it has taken over.
                    while !h.core.writes() {
                        h.core.took_over.notified().await;
                    }
                    control::serve(&dir, h).await
                }
            }));
        }
        if handle.core.config.overrides.is_some() {
            tasks.push(spawn("overrides", handle.clone(), |h| watch_overrides(h.core)));
        }
        Ok(Self { handle, tasks: Arc::new(Mutex::new(tasks)) })
    }

    /// What the agent's own tasks hold.
    #[cfg(feature = "serve")]
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// An agent that follows nobody.
    pub(crate) fn run_alone(core: Arc<Core>) -> Self {
        let (commands, _) = mpsc::channel(1);
        let runtime = tokio::runtime::Handle::try_current().ok();
        let handle = Handle { core, switch: None, commands, runtime };
        let mut tasks = Vec::new();
        if handle.runtime.is_some() {
            tasks.push(spawn("overrides", handle.clone(), |h| watch_overrides(h.core)));
        }
        Self { handle, tasks: Arc::new(Mutex::new(tasks)) }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.handle.core
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.handle.link().connected
    }

    /// Whether the agent is live, ready and fresh: three questions with three answers.
    #[must_use]
    pub fn health(&self) -> Health {
        self.handle.core.health()
    }

    /// Renders a text prompt. `id` is the prompt's id, or an address: `@set/id`,
    /// `@organisation/set/id`, `@set@^2/id`, `@organisation/set@2.1.0/id`.
    ///
    /// # Errors
    /// No such prompt, an id in several sets, another version than the address asks for, or values that
    /// do not fit; never with a value in it.
    pub fn prompt(&self, id: &str, values: impl Borrow<Values>) -> Result<String, PromptError> {
        self.handle.core.render(id, values.borrow())
    }

    /// Renders a text prompt, or gives `default` as it stands where the prompt is missing: nothing is
    /// served, or nothing of that name ([`PromptError::is_missing`]). The status counts how often.
    ///
    /// # Errors
    /// As [`LiveAgent::prompt`], for a prompt that is here.
    pub fn prompt_or<'d>(
        &self,
        id: &str,
        values: impl Borrow<Values>,
        default: &'d str,
    ) -> Result<Cow<'d, str>, PromptError> {
        self.handle.core.render_or(id, values.borrow(), default)
    }

    /// Renders a text prompt to the end of `out`, which can be used again and again: a prompt of text and
    /// variables then takes no memory.
    ///
    /// # Errors
    /// As [`LiveAgent::prompt`].
    pub fn prompt_to(
        &self,
        id: &str,
        values: impl Borrow<Values>,
        out: &mut String,
    ) -> Result<(), PromptError> {
        self.handle.core.render_to(id, values.borrow(), out)
    }

    /// Renders a chat; `history` fills its placeholders by name.
    ///
    /// # Errors
    /// As [`LiveAgent::prompt`].
    pub fn messages(
        &self,
        id: &str,
        values: impl Borrow<Values>,
        history: &[(&str, &[RenderedMessage])],
    ) -> Result<Vec<RenderedMessage>, PromptError> {
        self.handle.core.render_messages(id, values.borrow(), history)
    }

    /// Tells of one call of a model with what a prompt gave: tokens, time, cost, and whether it failed. It
    /// counts for the version that is served now, and reaches FORGE with the next status.
    ///
    /// # Errors
    /// No such prompt, or an id in several sets.
    pub fn report(&self, id: &str, call: &Call) -> Result<(), PromptError> {
        self.handle.core.report(id, call)
    }

    /// The prompt as its author wrote it, with model settings and metadata.
    ///
    /// # Errors
    /// No such prompt, or an id in several sets.
    pub fn template(&self, id: &str) -> Result<Template, PromptError> {
        self.handle.core.template(id)
    }

    /// Lends a prompt to `read` without counting a reference: the cheapest way to look at one.
    ///
    /// # Errors
    /// No such prompt, or an id in several sets.
    pub fn with<R>(&self, id: &str, read: impl FnOnce(&CompiledPrompt) -> R) -> Result<R, PromptError> {
        self.handle.core.with(id, |prompt| read(prompt))
    }

    /// Everything that is served, sorted by set and id.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        self.handle.core.list()
    }

    /// What has every word of `question` in its address, description, tags, parameters or text, whatever the
    /// case; the nearest to the id first. No word finds everything.
    #[must_use]
    pub fn search(&self, question: &str) -> Vec<Listed> {
        self.handle.core.search(question)
    }

    /// The agent's name.
    #[must_use]
    pub fn name(&self) -> &Slug {
        &self.handle.core.name
    }

    /// What FORGE hears of this agent, as of now.
    #[must_use]
    pub fn status(&self) -> AgentStatus {
        report::status(&self.handle.core)
    }

    /// The status, and how the agent stands to the broker.
    #[must_use]
    pub fn local_status(&self) -> LocalStatus {
        self.handle.local_status()
    }

    /// ACCEPTING or FROZEN.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.handle.core.state().mode
    }

    /// Sets the mode; it outlives the process. ACCEPTING takes up at once what was kept back.
    ///
    /// # Errors
    /// The disk did not take it: the mode holds until the process ends.
    pub async fn set_mode(&self, mode: Mode) -> Result<(), AgentError> {
        let handle = self.handle.clone();
        self.handle.within(async move { handle.set_mode(mode).await }).await
    }

    /// Reconciles with the broker now, and takes up what fits its pin. In FROZEN what waits is taken up once, and
    /// the agent stays FROZEN.
    ///
    /// # Errors
    /// The broker is not connected or does not answer.
    pub async fn sync(&self) -> Result<SyncReport, AgentError> {
        let handle = self.handle.clone();
        self.handle.within(async move { handle.sync(true).await }).await
    }

    /// Reconciles with the broker now. In FROZEN nothing is taken up; the report says what would be.
    ///
    /// # Errors
    /// As [`LiveAgent::sync`].
    pub async fn check(&self) -> Result<SyncReport, AgentError> {
        let handle = self.handle.clone();
        self.handle.within(async move { handle.sync(false).await }).await
    }

    /// Moves a running agent to another credential, given as the text of its `.creds` file. The new one
    /// is tried first; serving and following go on all the while.
    ///
    /// # Errors
    /// It is no credential, or the broker does not take it: the one in use stays.
    pub async fn set_credentials(&self, text: impl Into<String>) -> Result<(), AgentError> {
        let credential =
            Credential::read(text.into()).map_err(|error| AgentError::Credential(error.to_string()))?;
        let switch = self.handle.switch.clone().ok_or_else(|| AgentError::Credential(ALONE.into()))?;
        let change = async move {
            let changed = switch.change_credential(credential).await;
            changed.map_err(|error: SwitchError| AgentError::Credential(error.to_string()))
        };
        self.handle.within(change).await
    }

    /// Every change of what is served from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.handle.core.changes.subscribe()
    }

    /// Waits until the broker is connected and says that nothing is missing, for `most`.
    ///
    /// # Errors
    /// It was not within that time, or the credential is refused; the agent serves what it has all the same.
    pub async fn wait_current(&self, most: Duration) -> Result<SyncReport, AgentError> {
        let handle = self.handle.clone();
        self.handle.within(async move { handle.wait_current(most).await }).await
    }

    /// Ends the agent: its tasks, its connection, and whatever was not saved yet.
    pub async fn stop(&self) {
        self.handle.core.ended.cancel();
        let (handle, tasks) = (self.handle.clone(), Arc::clone(&self.tasks));
        let ended = self.handle.within(async move {
            let tasks = std::mem::take(&mut *tasks.lock().await);
            handle.end(tasks).await
        });
        if ended.await.is_err() {
            // Its runtime has ended before it.
            self.handle.core.close();
        }
    }
}

impl Handle {
    /// The tasks by which FORGE and the broker hear of the agent, and it of them: status, ledger, orders,
    /// another credential.
    fn tell_and_obey(&self, switch: &Arc<Switch>) -> Vec<AbortOnDropHandle<()>> {
        let mut tasks = vec![
            spawn_connected("report", self, switch, |core, session| async move {
                // Another connection's end reaches FORGE after the first status of this one.
                let again = async {
                    tokio::time::sleep(around(OLD_GONE)).await;
                    core.tell.notify_one();
                    std::future::pending().await
                };
                tokio::select! {
                    done = report::run(&core, &session.client, session.link) => done,
                    never = again => never,
                }
            }),
            spawn_connected("ledger", self, switch, |core, session| async move {
                ledger::run(&core, &session.client, session.link).await
            }),
        ];
        tasks.push(spawn("orders", self.clone(), |h| async move {
            loop {
                h.core.ordered.notified().await;
                let core = Arc::clone(&h.core);
                if tokio::task::spawn_blocking(move || core.obey()).await? == Some(Mode::Accepting) {
                    let _ = h.commands.try_send(Command::Reconcile);
                }
            }
            #[expect(unreachable_code, reason = "it says what the task fails with")]
            Ok::<(), tokio::task::JoinError>(())
        }));
        let sources = self.core.config.sources.clone();
        if sources.connection.is_some() || sources.credentials.is_some() {
            let switch = Arc::clone(switch);
            tasks.push(spawn("renew", self.clone(), move |h| {
                let (sources, switch) = (sources.clone(), Arc::clone(&switch));
                async move {
                    renew::run(&sources, h.core.trust.scope(), &switch).await;
                    Ok::<(), Infallible>(())
                }
            }));
        }
        tasks
    }

    pub(crate) fn local_status(&self) -> LocalStatus {
        let link = self.link();
        let contact = self.core.state().contact;
        let status = report::status(&self.core);
        LocalStatus {
            status,
            connected: link.connected,
            refused: link.refused,
            contact,
            connects: link.connects,
            refusals: self.core.meter.refusals(),
            problems: self.core.cache.problems(),
        }
    }

    fn link(&self) -> Link {
        self.switch.as_ref().map(|switch| switch.session().link.borrow().clone()).unwrap_or_default()
    }

    pub(crate) async fn set_mode(&self, mode: Mode) -> Result<(), AgentError> {
        let core = Arc::clone(&self.core);
        let done = aside(move || core.set_mode(mode)).await;
        // Whatever came in between is fetched now rather than later.
        let _ = self.commands.try_send(Command::Reconcile);
        done?.map_err(AgentError::NotStored)
    }

    /// Reconciles; takes up what waits where `once`.
    pub(crate) async fn sync(&self, once: bool) -> Result<SyncReport, AgentError> {
        if self.switch.is_none() {
            return Err(AgentError::Unreachable(ALONE.into()));
        }
        self.reconciled(once).await?;
        if once {
            let core = Arc::clone(&self.core);
            aside(move || core.take_up_once()).await?;
        }
        let status = report::status(&self.core);
        Ok(SyncReport { mode: status.mode, sets: status.sets })
    }

    /// Has the follower reconcile. Whoever asks while it begins anew, with another connection, asks once more.
    async fn reconciled(&self, once: bool) -> Result<(), AgentError> {
        for _ in 0..SYNC_ATTEMPTS {
            let (done, answer) = oneshot::channel();
            self.commands.send(Command::Sync { done, once }).await.map_err(|_| AgentError::Stopped)?;
            match tokio::time::timeout(SYNC, answer).await {
                Ok(Ok(Ok(()))) => return Ok(()),
                Ok(Ok(Err(why))) => return Err(AgentError::Unreachable(why)),
                Ok(Err(_)) if self.core.ended.is_cancelled() => return Err(AgentError::Stopped),
                Ok(Err(_)) => {}
                Err(_) => return Err(AgentError::Unreachable(self.why_not())),
            }
        }
        Err(AgentError::Unreachable("the connection changed meanwhile; try again".into()))
    }

    async fn wait_current(&self, most: Duration) -> Result<SyncReport, AgentError> {
        let switch = self.switch.as_ref().ok_or_else(|| AgentError::Unreachable(ALONE.into()))?;
        let current = async {
            loop {
                let mut link = switch.session().link;
                let now = link.wait_for(|l| l.connected || l.refusals >= REFUSALS).await;
                // Where nobody tells any more, another session has taken its place.
                if let Ok(Some(why)) = now.map(|now| now.refused.clone()) {
                    return Err(AgentError::Unreachable(why));
                }
                if let Ok(report) = self.sync(false).await {
                    return Ok(report);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        match tokio::time::timeout(most, current).await {
            Ok(result) => result,
            Err(_) => Err(AgentError::Unreachable(self.why_not())),
        }
    }

    /// Ends everything that runs, and saves what was not saved yet.
    async fn end(&self, tasks: Vec<AbortOnDropHandle<()>>) -> Result<(), AgentError> {
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            let _ = task.await;
        }
        let core = Arc::clone(&self.core);
        let closed = aside(move || core.close()).await;
        if let Some(switch) = &self.switch {
            let _ = tokio::time::timeout(Duration::from_secs(1), switch.session().retire()).await;
        }
        closed
    }

    fn why_not(&self) -> String {
        let Some(switch) = &self.switch else { return ALONE.into() };
        let link = self.link();
        link.refused.unwrap_or_else(|| match link.connected {
            true => "it does not answer".into(),
            false => format!("nobody answers at {}", switch.entry().connection.servers.join(", ")),
        })
    }
}

fn spawn<F, Fut, E>(name: &'static str, handle: Handle, run: F) -> AbortOnDropHandle<()>
where
    F: Fn(Handle) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    AbortOnDropHandle::new(tokio::spawn(follow::supervise(name, move || run(handle.clone()))))
}

/// As [`spawn`], for a task of a connection: with another connection it begins anew.
fn spawn_connected<F, Fut, E>(
    name: &'static str,
    handle: &Handle,
    switch: &Arc<Switch>,
    run: F,
) -> AbortOnDropHandle<()>
where
    F: Fn(Arc<Core>, Session) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    let switch = Arc::clone(switch);
    spawn(name, handle.clone(), move |h| {
        let run = run.clone();
        connected(Arc::clone(&switch), move |session| run(Arc::clone(&h.core), session))
    })
}

/// Looks at the folder of overrides for as long as the agent lives.
async fn watch_overrides(core: Arc<Core>) -> Result<(), tokio::task::JoinError> {
    loop {
        tokio::time::sleep(LOOK).await;
        let core = Arc::clone(&core);
        tokio::task::spawn_blocking(move || core.look_at_overrides()).await?;
    }
}

/// Runs with the session in use, and again with each that takes its place.
async fn connected<Fut, E>(switch: Arc<Switch>, run: impl Fn(Session) -> Fut) -> Result<(), E>
where
    Fut: Future<Output = Result<(), E>>,
{
    let mut sessions = switch.sessions();
    loop {
        let session = sessions.borrow_and_update().clone();
        tokio::select! {
            done = run(session.clone()) => {
                // Nothing comes of it any more: the next one is waited for.
                if session.is_over() && switch.revive().await.is_ok() {
                    continue;
                }
                return done;
            }
            changed = sessions.changed() => if changed.is_err() {
                return Ok(());
            },
        }
    }
}
