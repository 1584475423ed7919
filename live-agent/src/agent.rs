//! The agent's heart: what it has, and how a bundle becomes what is served.
//!
//! Every change goes through [`Core`], one at a time (whoever holds the store holds the turn):
//! verify, compile, commit, swap, tell. Readers are never in its way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nkeys::KeyPair;
use schemas::envelope::Trust;
use schemas::status::{Applied, Mode, Pending, Proof};
use schemas::{Micros, Slug};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::cache::{ActiveSet, Cache};
use crate::clock::{self, Moment};
use crate::config::{CachePlace, Config, ConfigError, Pins};
use crate::health::Pulse;
use crate::mode::Obedience;
use crate::overrides::folder::Folder;
use crate::report::meter::Meter;
use crate::store::record::{self, Kept, State as SavedState};
use crate::store::{self, Loaded, Store, Write};
use crate::verify::{Checked, Message};

mod age;
mod contract;
mod floors;
mod local;
mod lost;
mod open;
mod pins;
mod standing;
mod take;
mod takeover;
mod turn;
mod word;

pub(crate) use floors::Floors;
pub(crate) use local::LOOK;
pub(crate) use pins::fits;
use turn::Seen;
use word::Word;

const CHANGES_KEPT: usize = 64;
/// Sets of which nothing is known but that something was refused.
const STRANGE_MAX: usize = 16;

/// A set was taken up: what is served changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Change {
    pub set: Slug,
    pub serial: u64,
    /// What was served before, if anything was.
    pub from: Option<Applied>,
    pub to: Applied,
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To live in it.
    Agent,
    /// To read what is there; nothing is written.
    Look,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Active,
    /// Verified, and kept back because the agent is FROZEN, or its set pinned to other versions.
    Held,
    /// The agent has it already.
    Same,
    /// Something newer came before it; nothing to say about it.
    Passed,
    Refused,
}

/// What the agent has of one set.
#[derive(Debug, Default)]
pub(crate) struct SetState {
    pub(crate) active: Option<Held>,
    /// The bytes of that, where there is a disk that may lose them.
    kept: Option<Kept>,
    /// The newest that is verified and kept back.
    pub(crate) held: Option<(Held, Kept)>,
    /// In FROZEN: the newest that fits the pin, where what is held does not. The thaw takes it up.
    pub(crate) fitting: Option<(Held, Kept)>,
    pub(crate) refused: Option<Pending>,
    /// The highest that FORGE ever announced, and that was ever taken up: nothing below it is taken up
    /// where nothing that holds is served.
    pub(crate) heads: Floors,
    pub(crate) taken: Floors,
    /// What FORGE announced last.
    pub(crate) announced: Option<u64>,
    behind_since: Option<Moment>,
    /// The head that was asked for.
    tried: Option<Tried>,
    wanted: bool,
    /// Something that fits its pin may stand in the stream before the newest, and is to be looked for.
    search: bool,
}

/// A head that was asked for by name: how often, and when last.
#[derive(Debug, Clone, Copy)]
struct Tried {
    serial: u64,
    at: Moment,
    times: u32,
}

/// A verified version.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) applied: Applied,
    /// Where it stood in the stream.
    pub(crate) sequence: u64,
    /// The publishing key that signed it, and the root that certified that.
    key: String,
    root: String,
    pub(crate) proof: Proof,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) mode: Mode,
    pub(crate) floor: u64,
    pub(crate) sets: BTreeMap<Slug, SetState>,
    pub(crate) contact: Option<Micros>,
    pub(crate) cache: String,
    pub(crate) word: Word,
    pub(crate) orders: Obedience,
    /// The pins that were set at the agent.
    pub(crate) pins: Pins,
    /// Whose cache this agent took over: who starts there next is that one.
    heir_of: Option<KeyPair>,
    /// Something of FORGE's word is to be saved soon.
    unsaved: bool,
}

/// Everything the agent's tasks share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) trust: Trust,
    pub(crate) name: Slug,
    pub(crate) identity: KeyPair,
    pub(crate) host: String,
    pub(crate) started_at: Micros,
    pub(crate) cache: Cache,
    pub(crate) meter: Meter,
    pub(crate) changes: broadcast::Sender<Change>,
    /// The host stopped the agent.
    pub(crate) ended: CancellationToken,
    /// Something worth a status happened.
    pub(crate) tell: Notify,
    /// Something was taken up: the ledger has to be brought up to date.
    pub(crate) acknowledge: Notify,
    /// FORGE said something that the follower has to act on, or does not answer.
    pub(crate) tell_follower: Notify,
    /// FORGE ordered a mode.
    pub(crate) ordered: Notify,
    /// What waited in FROZEN was taken up once: the ledger is to be brought up to date all the same.
    due: AtomicBool,
    /// FORGE's word does not come as it should: it is to be asked, and its answer shows whose clock is wrong.
    pub(crate) meet: Notify,
    /// The chain that was on disk: not lost where this connect file does not lead to it.
    kept_trust: Option<String>,
    /// Calls are answered with an error: what is here is too old.
    pub(crate) refuses: AtomicBool,
    warned: AtomicBool,
    /// When the follower's loop turned last.
    pub(crate) pulse: Pulse,
    /// The agent writes its cache now, which another one wrote before.
    pub(crate) took_over: Notify,
    folder: Option<Mutex<Folder>>,
    closed: AtomicBool,
    state: Mutex<State>,
    store: Mutex<Store>,
    seen: Seen,
}

/// What a refused message says that it is; nothing of it is verified.
#[derive(Debug)]
struct About {
    set: Option<Slug>,
    serial: Option<u64>,
    publication: Option<String>,
}

impl About {
    fn of(message: &Message) -> Self {
        Self {
            set: Some(message.set.clone()),
            serial: Some(message.serial),
            publication: message.publication.clone(),
        }
    }
}

impl Core {
    /// Opens the store and brings up what is in it, then what is baked in.
    ///
    /// # Errors
    /// The cache belongs to another scope or to a newer version.
    pub(crate) fn open(config: Config, access: Access) -> Result<Self, ConfigError> {
        let scope = &config.connection.scope;
        let (mut store, mut loaded) = match (&config.cache, access) {
            (CachePlace::Memory, _) => (Store::memory(), Loaded::default()),
            (CachePlace::Disk(dir), Access::Agent) => Store::open(dir, scope).map_err(ConfigError::Cache)?,
            (CachePlace::Disk(dir), Access::Look) => {
                let loaded = store::look(dir, scope).map_err(ConfigError::Cache)?;
                (Store::memory(), loaded)
            }
        };
        // Two agents never share an identity: whoever does not write the store gets one of its own.
        let mine = store.writes() || access == Access::Look;
        let stored = loaded.identity.take().filter(|_| mine);
        let identity = stored.unwrap_or_else(KeyPair::new_user);
        let host = host();
        let name = name(&config, &host, &identity, mine);
        let mode = store::mode(&loaded).unwrap_or(config.mode_default);
        let floor = loaded.state.as_ref().filter(|_| loaded.damage.is_none()).map_or(0, |s| s.floor);
        let contact = store::contact(&loaded);
        let mut orders = store::orders(&loaded);
        let pins = store::pins(&loaded);
        if access == Access::Agent && loaded.pins_file.clone().unwrap_or_default() != pins {
            // A store that takes nothing says so in the status.
            let _ = store.keep_pins(&pins);
        }
        let saved = loaded.state.as_ref();
        let trust = Trust::new(config.connection.roots.clone(), config.connection.scope.clone());
        let remembered = |saved| Word::from_saved(saved, config.max_age, clock::now(), Moment::now());
        let mut word = remembered(saved);
        let mut floors = saved.map(|s| s.floors.clone()).unwrap_or_default();
        let kept_trust = saved.and_then(|s| s.trust.clone());
        if let Some(chain) = kept_trust.as_deref()
            && let Err(error) = trust.advance(chain)
        {
            // The connect file was replaced by one that the old keys do not lead to: they said nothing.
            tracing::warn!(error = %error, "the kept trust list does not follow from the connect file");
            word = remembered(None);
            floors.clear();
            (orders.dealt, orders.answer) = (Floors::default(), None);
        }
        let saved = SavedState {
            trust: trust.chain().or_else(|| kept_trust.clone()),
            word: word.saved(),
            floors: floors.clone(),
            orders: orders.clone(),
            pins: pins.clone(),
            ..SavedState::new(config.connection.scope.clone(), mode, floor, contact)
        };
        // A store that takes nothing says so in the status; the agent goes on.
        let _ = store.commit(&[Write::Identity(&identity), Write::State(&saved)]);
        if mode == Mode::Frozen
            && let Err(error) = store.mark_frozen(Some(&orders))
        {
            tracing::warn!(error = %error, "the mode FROZEN could not be marked on disk");
        }
        let core = Self {
            trust,
            name,
            identity,
            host,
            started_at: clock::now(),
            cache: Cache::new(config.usage),
            meter: Meter::default(),
            changes: broadcast::channel(CHANGES_KEPT).0,
            ended: CancellationToken::new(),
            tell: Notify::new(),
            acknowledge: Notify::new(),
            tell_follower: Notify::new(),
            refuses: AtomicBool::new(false),
            warned: AtomicBool::new(false),
            ordered: Notify::new(),
            due: AtomicBool::new(false),
            meet: Notify::new(),
            pulse: Pulse::default(),
            took_over: Notify::new(),
            folder: config.overrides.clone().map(|path| Mutex::new(Folder::new(path))),
            closed: AtomicBool::new(false),
            kept_trust,
            state: Mutex::new(State {
                mode,
                floor,
                sets: sets_of(floors),
                contact,
                cache: store.describe(),
                word,
                orders: Obedience::new(orders),
                pins,
                heir_of: None,
                unsaved: false,
            }),
            seen: Seen::of(&store),
            store: Mutex::new(store),
            config,
        };
        core.bring_up(loaded);
        // Of what was taken up before, or announced, something is lost: it stands below the floor.
        if core.state().sets.values().any(|one| one.is_known() && one.newest().is_none()) {
            core.set_floor(0);
        }
        core.look_at_overrides();
        core.refresh_age();
        Ok(core)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has to be remembered, as of now.
    pub(crate) fn saved(&self, floor: Option<u64>) -> SavedState {
        let mut state = self.state();
        state.unsaved = false;
        let scope = self.trust.scope().clone();
        let floors = state.sets.iter().filter(|(_, one)| !one.heads.is_empty() || !one.taken.is_empty());
        let floors = floors.map(|(set, one)| {
            let floors = record::SavedFloors { heads: one.heads.clone(), taken: one.taken.clone() };
            (set.clone(), floors)
        });
        SavedState {
            trust: self.trust.chain().or_else(|| self.kept_trust.clone()),
            word: state.word.saved(),
            floors: floors.collect(),
            orders: state.orders.known.clone(),
            pins: state.pins.clone(),
            ..SavedState::new(scope, state.mode, floor.unwrap_or(state.floor), state.contact)
        }
    }

    /// The ledger is to be brought up to date, in FROZEN too.
    pub(crate) fn settle_ledger(&self) {
        self.due.store(true, Ordering::Relaxed);
        self.acknowledge.notify_one();
    }

    /// Whether [`Core::settle_ledger`] was called since.
    pub(crate) fn take_due(&self) -> bool {
        self.due.swap(false, Ordering::Relaxed)
    }

    /// Everything up to `floor` is seen; the broker and this agent agree as of now.
    pub(crate) fn agreed(&self, floor: Option<u64>) {
        let mut state = self.state();
        state.contact = Some(clock::now());
        if let Some(floor) = floor {
            state.floor = floor;
        }
    }

    pub(crate) fn set_floor(&self, floor: u64) {
        self.state().floor = floor;
    }

    /// Whether the agent was stopped.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether something of FORGE's word is to be saved soon.
    pub(crate) fn word_unsaved(&self) -> bool {
        self.state().unsaved
    }
}

impl SetState {
    /// Whether FORGE signed or announced anything of it.
    pub(crate) fn is_known(&self) -> bool {
        self.newest().is_some() || !self.heads.is_empty() || !self.taken.is_empty()
    }

    /// The newest that is verified, served or kept back.
    pub(crate) fn newest(&self) -> Option<&Held> {
        self.held.as_ref().map(|(held, _)| held).or(self.active.as_ref())
    }
}

fn held(checked: &Checked, kept: &Kept) -> Held {
    Held {
        applied: Applied {
            publication: checked.attestation.publication.clone(),
            serial: checked.attestation.serial,
            version: checked.attestation.version.clone(),
            digest: checked.digest,
            activated_at: kept.activated_at,
        },
        sequence: kept.message.sequence,
        key: checked.key.clone(),
        root: checked.root.clone(),
        proof: Proof {
            certificate: kept.message.certificate.clone(),
            attestation: kept.message.attestation.clone(),
        },
    }
}

/// The sets of which only the floor is remembered.
fn sets_of(floors: BTreeMap<Slug, record::SavedFloors>) -> BTreeMap<Slug, SetState> {
    let state = |floors: record::SavedFloors| SetState {
        heads: floors.heads,
        taken: floors.taken,
        ..SetState::default()
    };
    floors.into_iter().map(|(set, floors)| (set, state(floors))).collect()
}

fn active_set(set: &Slug, checked: Checked, held: &Held) -> ActiveSet {
    ActiveSet {
        set: set.clone(),
        applied: held.applied.clone(),
        compiled: checked.compiled,
        partials: checked.partials,
        local: BTreeSet::new(),
    }
}

fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "unknown-host".into())
}

/// The configured name, or the host's name and a part of the identity. An agent that shares another
/// one's cache always bears a part of its own identity.
fn name(config: &Config, host: &str, identity: &KeyPair, mine: bool) -> Slug {
    let sharing = !mine && matches!(config.cache, CachePlace::Disk(_));
    if let Some(name) = config.name.as_ref().filter(|_| !sharing) {
        return name.clone();
    }
    let key = identity.public_key().to_ascii_lowercase();
    let part: String = key.chars().skip(1).take(6).collect();
    let base = config.name.clone().or_else(|| Slug::from_title(host));
    let base: String = base.map_or("agent".into(), |s| s.as_str().chars().take(56).collect());
    Slug::from_title(&format!("{}-{part}", base.trim_end_matches('-'))).unwrap_or_else(|| fallback(&part))
}

fn fallback(part: &str) -> Slug {
    // Letters and digits of a key are always a slug.
    Slug::new(part).unwrap_or_else(|_| fallback("agent"))
}
