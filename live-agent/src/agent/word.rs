//! FORGE's signed word: what the newest of every set is, which keys count, how old content may get.
//!
//! An agent that does not hear it for two periods, hears it late, or hears of something that it
//! cannot get is STALE: it says so, and goes on serving. A word that comes again, or held back on
//! its way, is no word: each has to be newer than the one before, and to keep pace with the time that
//! passes here.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use schemas::canonical::Digest;
use schemas::envelope::{AgeAction, Certified, Enrolment, Heartbeat, MaxAge, TrustError};
use schemas::{Micros, Slug};

use super::{Core, SetState, State};
use crate::clock;
use crate::store::record;

/// How often FORGE's heartbeat comes, until it has said so itself.
const PERIOD: Duration = Duration::from_secs(10);
/// How often a status is sent, until FORGE has said how often it wants one.
const STATUS_PERIOD: Duration = Duration::from_secs(10);
/// A head that could not be had is tried again after this.
const RETRY_HEAD: Duration = Duration::from_secs(60);
/// What the clock of this machine and FORGE's may differ by.
const CLOCKS: Duration = Duration::from_secs(60);

/// What FORGE said last, and when.
#[derive(Debug)]
pub(crate) struct Word {
    /// When the newest one was written, by FORGE's clock, and by whose keys.
    issued: Micros,
    key: String,
    root: String,
    /// When the last one that was in time came.
    heard: Option<Instant>,
    /// One that came in time, and when: what later ones are measured by.
    pace: Option<(Micros, Instant)>,
    /// Why the newest one does not count.
    late: Option<&'static str>,
    period: Duration,
    pub(crate) status_period: Duration,
    /// When FORGE, by its clock, last confirmed all that is here, and when that was heard.
    confirmed: Option<Micros>,
    confirmed_at: Option<Instant>,
    pub(crate) max_age: Option<MaxAge>,
    /// The trust list that is announced and lacking.
    lacking: Option<(u64, Instant)>,
}

impl Word {
    /// What was remembered of it.
    pub(crate) fn from_saved(saved: Option<&record::State>) -> Self {
        let word = saved.map(|s| s.word.clone()).unwrap_or_default();
        Self {
            issued: word.issued,
            key: word.key,
            root: word.root,
            heard: None,
            pace: None,
            late: None,
            period: PERIOD,
            status_period: STATUS_PERIOD,
            confirmed: word.confirmed,
            confirmed_at: None,
            max_age: word.max_age,
            lacking: None,
        }
    }

    /// What has to be remembered of it.
    pub(crate) fn saved(&self) -> record::Word {
        record::Word {
            issued: self.issued,
            key: self.key.clone(),
            root: self.root.clone(),
            confirmed: self.confirmed,
            max_age: self.max_age,
        }
    }

    /// Whether FORGE was silent for longer than two periods, as far as this machine can tell.
    fn silent(&self, here: Instant) -> bool {
        self.heard.is_none_or(|at| here.duration_since(at) > self.period * 2)
    }

    /// Whether a word written at `issued` comes in time; if not, why.
    fn in_time(&self, issued: Micros, now: Micros, here: Instant) -> Result<(), &'static str> {
        let bound = self.period * 2;
        if let Some((then, at)) = self.pace {
            let expected = then.saturating_add(micros(here.duration_since(at)));
            return if expected.saturating_sub(issued) > micros(bound) {
                Err("FORGE's word is held back on its way, or its clock was set back")
            } else if issued.saturating_sub(expected) > micros(CLOCKS) {
                Err("FORGE's word is from the future: its clock was set, or this machine slept")
            } else {
                Ok(())
            };
        }
        if issued.saturating_sub(now) > micros(CLOCKS) {
            return Err("FORGE's word is from the future: set this machine's clock");
        }
        if now.saturating_sub(issued) > micros(bound + CLOCKS) {
            return Err("FORGE's word is old: it is held back, or this machine's clock is wrong");
        }
        Ok(())
    }

    /// Time since the last confirmation; none: there was none.
    fn age(&self) -> Option<Duration> {
        if let Some(at) = self.confirmed_at {
            return Some(at.elapsed());
        }
        let since = clock::now().saturating_sub(self.confirmed?);
        Some(Duration::from_micros(u64::try_from(since).unwrap_or(0)))
    }
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

impl Core {
    /// Follows a chain of trust lists. What was announced by a key that is revoked now was never
    /// said.
    pub(crate) fn learn(&self, chain: Option<&str>) {
        let Some(chain) = chain else { return };
        match self.trust.advance(chain) {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!(
                    trust.version = self.trust.version(),
                    trust.roots = self.trust.roots().len(),
                    "FORGE changed its keys; this agent follows"
                );
                let gone = |key: &str| self.trust.is_revoked(key);
                let mut state = self.state();
                if gone(&state.word.key) || gone(&state.word.root) {
                    state.word.issued = 0;
                    state.word.pace = None;
                }
                // What it ordered and was obeyed stays so: nobody knows what would be right instead.
                state.orders.forget(gone);
                for one in state.sets.values_mut() {
                    one.taken.forget(gone);
                    if one.heads.forget(gone) {
                        one.behind_since = None;
                    }
                }
                state.unsaved = true;
                drop(state);
                self.tell.notify_one();
            }
            Err(error) => tracing::warn!(error = %error, "a trust list is not believed"),
        }
    }

    /// Takes FORGE's word from a heartbeat. Gives whether something is lacking that was not asked for yet.
    pub(crate) fn hear(&self, heartbeat: &Heartbeat, by: &Certified) -> bool {
        let (now, here) = (clock::now(), Instant::now());
        {
            let mut state = self.state();
            let word = &mut state.word;
            let again = heartbeat.issued <= word.issued;
            let late = if again { None } else { word.in_time(heartbeat.issued, now, here).err() };
            if late.is_some() && late != word.late {
                tracing::warn!(reason = late, "a word of FORGE does not count as heard");
            }
            if (again || late.is_some()) && word.silent(here) {
                self.meet.notify_one();
            }
            if again {
                return false;
            }
            word.late = late;
        }
        self.believe(heartbeat, by, here)
    }

    /// Believes what FORGE signed; where it is late, only that there is such a head.
    fn believe(&self, heartbeat: &Heartbeat, by: &Certified, here: Instant) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let word = &mut state.word;
        let in_time = word.late.is_none();
        if in_time {
            word.issued = heartbeat.issued;
            word.key.clone_from(&by.certificate.key);
            word.root.clone_from(&by.root);
            word.heard = Some(here);
            let ahead = word.pace.is_none_or(|(then, at)| {
                heartbeat.issued >= then.saturating_add(micros(here.duration_since(at)))
            });
            if ahead {
                word.pace = Some((heartbeat.issued, here));
            }
            word.period = Duration::from_millis(heartbeat.period_ms.clamp(100, 3_600_000));
            state.unsaved |= word.max_age != heartbeat.max_age;
            word.max_age = heartbeat.max_age;
            state.contact = Some(clock::now());
            let meant = heartbeat.orders.iter().filter(|o| o.target.is_for(&self.name, &self.config.service));
            if state.orders.hear(meant, by) {
                self.ordered.notify_one();
            }
        }
        let have = self.trust.version();
        word.lacking = (heartbeat.trust > have)
            .then(|| word.lacking.filter(|(v, _)| *v == heartbeat.trust).unwrap_or((heartbeat.trust, here)));
        let mut lacking = false;
        for head in &heartbeat.heads {
            let one = state.sets.entry(head.set.clone()).or_default();
            one.announced = Some(head.serial);
            // What was taken up is on disk with its bundle.
            let rises = one.heads.raise(head.serial, &by.certificate.key, &by.root);
            state.unsaved |= rises && one.taken.serial().is_none_or(|taken| taken < head.serial);
        }
        // Those that it names no longer too: what was announced once is still lacking.
        for one in state.sets.values_mut() {
            lacking |= self.lacks_head(one, here);
        }
        let all_here = state.word.lacking.is_none() && state.sets.values().all(|s| s.behind_since.is_none());
        if in_time && all_here {
            state.word.confirmed = Some(heartbeat.issued);
            state.word.confirmed_at = Some(here);
        }
        drop(guard);
        self.refresh_age();
        lacking
    }

    /// Gives whether a set's head has to be asked for.
    fn lacks_head(&self, one: &mut SetState, here: Instant) -> bool {
        let floor = one.heads.serial().unwrap_or(0);
        // What a revoked key signed counts for nothing here.
        let have = self.believed(one).map_or(0, |h| h.applied.serial);
        if have >= floor {
            one.behind_since = None;
            return false;
        }
        one.behind_since.get_or_insert(here);
        let asked = one.tried.is_some_and(|(tried, at)| tried == floor && at + RETRY_HEAD > here);
        if asked {
            return false;
        }
        one.tried = Some((floor, here));
        one.wanted = true;
        true
    }

    /// Takes the answer to an enrolment. It answers our own question, so it is of now, whatever the clocks
    /// say: what comes later is measured by it.
    pub(crate) fn enrolled(&self, enrolment: &Enrolment, by: &Certified) {
        let here = Instant::now();
        {
            let word = &mut self.state().word;
            word.status_period = Duration::from_millis(enrolment.status_ms.clamp(100, 3_600_000));
            word.pace = None;
            word.late = None;
        }
        if self.believe(&enrolment.heartbeat, by, here) {
            self.tell_follower.notify_one();
        }
    }

    /// How long to wait before FORGE is asked again.
    pub(crate) fn period(&self) -> Duration {
        self.state().word.period
    }

    /// Checks FORGE's signature under its answer to an enrolment.
    ///
    /// # Errors
    /// Every link that does not hold.
    pub(crate) fn check_enrolment(
        &self,
        certificate: &str,
        signature: &str,
        answer: &[u8],
        request: Digest,
    ) -> Result<(Enrolment, Certified), TrustError> {
        self.trust.verify_enrolment(certificate, signature, answer, request, clock::now())
    }

    /// Sets whose head has to be asked for, once.
    pub(crate) fn take_wanted(&self) -> Vec<Slug> {
        let mut state = self.state();
        let wanted = state
            .sets
            .iter_mut()
            .filter_map(|(set, one)| std::mem::take(&mut one.wanted).then(|| set.clone()));
        wanted.collect()
    }

    /// Whether a head has to be asked for.
    pub(crate) fn wants(&self) -> bool {
        self.state().sets.values().any(|one| one.wanted)
    }

    /// Whether nothing is served and nothing was heard: whatever came now could not be told from
    /// something that is long over.
    pub(crate) fn knows_nothing(&self) -> bool {
        let state = self.state();
        state.word.heard.is_none() && state.sets.values().all(|s| s.newest().is_none() && s.heads.is_empty())
    }

    /// Why the agent is stale, if it is: FORGE was silent for two periods, or something is announced that
    /// cannot be had for as long.
    pub(crate) fn stale_reason(&self) -> Option<String> {
        let state = self.state();
        let word = &state.word;
        let bound = word.period * 2;
        let silence = word.heard.unwrap_or(self.started).elapsed();
        if silence > bound {
            let late = word.late.unwrap_or("FORGE is not heard");
            return Some(format!("{late}, for {} s", silence.as_secs()));
        }
        if let Some((version, since)) = word.lacking
            && since.elapsed() > bound
        {
            return Some(format!("trust list {version} is announced and does not come"));
        }
        behind(&state, bound)
    }

    /// How long FORGE was silent beyond its bound.
    pub(crate) fn silence(&self) -> Duration {
        let state = self.state();
        state.word.heard.unwrap_or(self.started).elapsed().saturating_sub(state.word.period * 2)
    }

    /// Time since FORGE confirmed all that is here, in milliseconds.
    pub(crate) fn age_ms(&self) -> Option<u64> {
        self.state().word.age().map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }

    /// Whether the project's rule for old content holds now.
    pub(crate) fn too_old(&self) -> bool {
        let state = self.state();
        let Some(rule) = state.word.max_age.filter(|rule| rule.action != AgeAction::Serve) else {
            return false;
        };
        state.word.age().unwrap_or_else(|| self.started.elapsed()) > Duration::from_secs(rule.seconds)
    }

    /// Brings up to date whether calls are answered at all. Gives whether that, or a warning, changed.
    pub(crate) fn refresh_age(&self) -> bool {
        let too_old = self.too_old();
        let rule = self.state().word.max_age;
        let refuses = too_old && rule.is_some_and(|rule| rule.action == AgeAction::Refuse);
        self.refuses.store(refuses, Ordering::Relaxed);
        let changed = self.warned.swap(too_old, Ordering::Relaxed) != too_old;
        if changed && too_old {
            tracing::warn!(
                max_age.seconds = rule.map(|r| r.seconds),
                max_age.action = rule.map(|r| r.action.as_str()),
                "what is served was not confirmed for longer than the project allows"
            );
        } else if changed {
            tracing::info!("what is served is confirmed again");
        }
        changed
    }
}

fn behind(state: &State, bound: Duration) -> Option<String> {
    let late = |one: &SetState| one.behind_since.is_some_and(|at| at.elapsed() > bound);
    let (set, one) = state.sets.iter().find(|(_, one)| late(one))?;
    let serial = one.heads.serial().unwrap_or(0);
    Some(format!("serial {serial} of {set} is announced and cannot be had"))
}
