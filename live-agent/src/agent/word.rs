//! FORGE's signed word: what the newest of every set is, which keys count, how old content may get.
//!
//! An agent that does not hear it for two periods, hears it late, or hears of something that it
//! cannot get is STALE: it says so, and goes on serving. A word that comes again, or held back on
//! its way, is no word: each has to be newer than the one before, and to keep pace with the time that
//! passes here.

use std::sync::atomic::Ordering;
use std::time::Duration;

use schemas::canonical::Digest;
use schemas::envelope::{AgeAction, Certified, Enrolment, Heartbeat, MaxAge, TrustError};
use schemas::status::RefusalCode;
use schemas::{Micros, Slug};

use super::age::Rules;
use super::{Core, SetState, State, Tried};
use crate::clock::{self, Moment, micros};
use crate::store::record;

/// How often FORGE's heartbeat comes, until it has said so itself.
const PERIOD: Duration = Duration::from_secs(10);
/// How often a status is sent, until FORGE has said how often it wants one.
const STATUS_PERIOD: Duration = Duration::from_secs(10);
/// A head that could not be had is tried again after this.
const RETRY_HEAD: Duration = Duration::from_secs(60);
/// One that is refused for what no time heals is asked for less and less, down to this.
const RETRY_HEAD_MOST: Duration = Duration::from_secs(3600);
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
    heard: Option<Moment>,
    /// How often one came after a silence.
    returns: u64,
    /// One that came in time, and when: what later ones are measured by.
    pace: Option<(Micros, Moment)>,
    /// Why the newest one does not count.
    late: Option<&'static str>,
    period: Duration,
    pub(crate) status_period: Duration,
    /// When FORGE, by its clock, last confirmed all that is here, and when that was heard.
    confirmed: Option<Micros>,
    confirmed_at: Option<Moment>,
    /// When the agent started, and how old the last confirmation was then by the clock of this machine;
    /// none where there was none, or where that clock is behind FORGE's. Who sets the clock later
    /// changes no age.
    started: Moment,
    age_at_start: Option<Duration>,
    pub(crate) rules: Rules,
    /// The trust list that is announced and lacking.
    lacking: Option<(u64, Moment)>,
}

impl Word {
    /// What was remembered of it. `now` and `here` are the time by both clocks.
    pub(crate) fn from_saved(
        saved: Option<&record::State>,
        own: Option<MaxAge>,
        now: Micros,
        here: Moment,
    ) -> Self {
        let word = saved.map(|s| s.word.clone()).unwrap_or_default();
        // A clock that shows less than FORGE's did then is wrong, and measures nothing.
        let known = word.confirmed.filter(|_| word.issued.saturating_sub(now) <= micros(CLOCKS));
        let age_at_start =
            known.map(|at| Duration::from_micros(u64::try_from(now.saturating_sub(at)).unwrap_or(0)));
        Self {
            issued: word.issued,
            key: word.key,
            root: word.root,
            heard: None,
            returns: 0,
            pace: None,
            late: None,
            period: PERIOD,
            status_period: STATUS_PERIOD,
            confirmed: word.confirmed,
            confirmed_at: None,
            started: here,
            age_at_start,
            rules: Rules { project: word.max_age, own },
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
            max_age: self.rules.project,
        }
    }

    /// Whether FORGE was silent for longer than two periods, as far as this machine can tell.
    fn silent(&self, here: Moment) -> bool {
        self.heard.is_none_or(|at| here - at > self.period * 2)
    }

    /// How long FORGE was silent: since it was heard, or since the start.
    fn silence(&self, here: Moment) -> Duration {
        here - self.heard.unwrap_or(self.started)
    }

    /// Whether a word written at `issued` comes in time; if not, why.
    fn in_time(&self, issued: Micros, now: Micros, here: Moment) -> Result<(), &'static str> {
        let bound = self.period * 2;
        if let Some((then, at)) = self.pace {
            let expected = then.saturating_add(micros(here - at));
            return if expected.saturating_sub(issued) > micros(bound) {
                Err("FORGE's word is held back on its way, or its clock was set back")
            } else if issued.saturating_sub(expected) > micros(CLOCKS) {
                Err("FORGE's word is from the future: its clock was set")
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

    /// Time since the last confirmation; none: there was none, or nobody can tell.
    fn age(&self, here: Moment) -> Option<Duration> {
        match self.confirmed_at {
            Some(at) => Some(here - at),
            None => self.age_at_start.map(|age| age.saturating_add(here - self.started)),
        }
    }

    /// The age that the rules go by: where nothing was ever confirmed, the agent's own.
    fn age_for_rules(&self, here: Moment) -> Duration {
        self.age(here).unwrap_or(here - self.started)
    }

    /// Whether FORGE confirmed all that is here since the start.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed_at.is_some()
    }
}

impl State {
    /// What FORGE's last word announced may all be here: then it confirms it, as of when it came.
    pub(super) fn confirm(&mut self) {
        let all_here = self.word.lacking.is_none() && self.sets.values().all(|s| s.behind_since.is_none());
        let word = &mut self.word;
        if let (true, Some(heard)) = (all_here && word.issued > 0, word.heard) {
            word.confirmed = Some(word.issued);
            word.confirmed_at = Some(heard);
        }
    }
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
                    // With other keys another answer is possible.
                    one.tried = None;
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
        let (now, here) = (clock::now(), Moment::now());
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
    fn believe(&self, heartbeat: &Heartbeat, by: &Certified, here: Moment) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let word = &mut state.word;
        let in_time = word.late.is_none();
        if in_time {
            word.issued = heartbeat.issued;
            word.key.clone_from(&by.certificate.key);
            word.root.clone_from(&by.root);
            word.returns += u64::from(word.silent(here));
            word.heard = Some(here);
            let ahead =
                word.pace.is_none_or(|(then, at)| heartbeat.issued >= then.saturating_add(micros(here - at)));
            if ahead {
                word.pace = Some((heartbeat.issued, here));
            }
            word.period = Duration::from_millis(heartbeat.period_ms.clamp(100, 3_600_000));
            state.unsaved |= word.rules.project != heartbeat.max_age;
            word.rules.project = heartbeat.max_age;
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
        if in_time {
            state.confirm();
        }
        drop(guard);
        self.refresh_age();
        lacking
    }

    /// Gives whether a set's head has to be asked for.
    fn lacks_head(&self, one: &mut SetState, here: Moment) -> bool {
        let floor = one.heads.serial().unwrap_or(0);
        // What a revoked key signed counts for nothing here.
        let have = self.believed(one).map_or(0, |h| h.applied.serial);
        if have >= floor {
            one.behind_since = None;
            return false;
        }
        one.behind_since.get_or_insert(here);
        let before = one.tried.filter(|tried| tried.serial == floor);
        if before.is_some_and(|tried| tried.at + retry_head(one, tried) > here) {
            return false;
        }
        let times = before.map_or(0, |tried| tried.times).saturating_add(1);
        one.tried = Some(Tried { serial: floor, at: here, times });
        one.wanted = true;
        true
    }

    /// Takes the answer to an enrolment. It answers our own question, so it is of now, whatever the clocks
    /// say: what comes later is measured by it.
    pub(crate) fn enrolled(&self, enrolment: &Enrolment, by: &Certified) {
        let here = Moment::now();
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

    /// What FORGE announced and is not here, for people.
    pub(crate) fn missing(&self) -> Option<String> {
        let state = self.state();
        if let Some((version, _)) = state.word.lacking {
            return Some(format!("trust list {version} is announced and not here"));
        }
        let lacks = |one: &SetState| one.heads.serial() > self.believed(one).map(|held| held.applied.serial);
        let (set, one) = state.sets.iter().find(|(_, one)| lacks(one))?;
        Some(lacking(set, one, "is not here"))
    }

    /// Why the agent is stale, if it is: FORGE was silent for two periods, or something is announced that
    /// cannot be had for as long.
    pub(crate) fn stale_reason(&self) -> Option<String> {
        if !self.config.follows() {
            return None;
        }
        let state = self.state();
        let word = &state.word;
        let bound = word.period * 2;
        let silence = word.silence(Moment::now());
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

    /// How often FORGE was heard after it had been silent: what was told meanwhile may not have reached it.
    pub(crate) fn returns(&self) -> u64 {
        self.state().word.returns
    }

    /// How long FORGE was silent beyond its bound.
    pub(crate) fn silence(&self) -> Duration {
        let state = self.state();
        state.word.silence(Moment::now()).saturating_sub(state.word.period * 2)
    }

    /// Time since FORGE confirmed all that is here.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.state().word.age(Moment::now())
    }

    /// As [`Core::age`], in milliseconds.
    pub(crate) fn age_ms(&self) -> Option<u64> {
        self.age().map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }

    /// The rule for old content that is broken now.
    pub(crate) fn too_old(&self) -> Option<MaxAge> {
        let state = self.state();
        state.word.rules.beyond(state.word.age_for_rules(Moment::now()))
    }

    /// The rule for old content to tell of: the one that is broken, or the next that would be.
    pub(crate) fn max_age(&self) -> Option<MaxAge> {
        let state = self.state();
        state.word.rules.told(state.word.age_for_rules(Moment::now()))
    }

    /// Brings up to date whether calls are answered at all. Gives whether that, or a warning, changed.
    pub(crate) fn refresh_age(&self) -> bool {
        let rule = self.too_old();
        let refuses = rule.is_some_and(|rule| rule.action == AgeAction::Refuse);
        let refused = self.refuses.swap(refuses, Ordering::Relaxed);
        let warned = self.warned.swap(rule.is_some(), Ordering::Relaxed);
        let changed = warned != rule.is_some() || refused != refuses;
        match rule {
            Some(rule) if changed => tracing::warn!(
                max_age.seconds = rule.seconds,
                max_age.action = rule.action.as_str(),
                "what is served was not confirmed for longer than is allowed"
            ),
            None if changed => tracing::info!("what is served is confirmed again"),
            _ => {}
        }
        changed
    }
}

/// How long after it was asked for a head is asked for again. What is refused for what the bundle or this program is
/// would be downloaded for nothing: another serial, other keys and another start ask at once.
fn retry_head(one: &SetState, tried: Tried) -> Duration {
    let refused = one.refused.as_ref().filter(|refused| refused.serial == Some(tried.serial));
    let code = refused.and_then(|refused| refused.reason.as_ref()).map(|reason| reason.code);
    let for_good = matches!(
        code,
        Some(
            RefusalCode::Contract
                | RefusalCode::Template
                | RefusalCode::SchemaVersion
                | RefusalCode::TooLarge
        )
    );
    if !for_good {
        return RETRY_HEAD;
    }
    let doubled = tried.times.saturating_sub(1).min(16);
    RETRY_HEAD.saturating_mul(1 << doubled).min(RETRY_HEAD_MOST)
}

fn behind(state: &State, bound: Duration) -> Option<String> {
    let late = |one: &SetState| one.behind_since.is_some_and(|at| at.elapsed() > bound);
    let (set, one) = state.sets.iter().find(|(_, one)| late(one))?;
    Some(lacking(set, one, "cannot be had"))
}

/// That a set's head is not here, and why where that is known.
fn lacking(set: &Slug, one: &SetState, how: &str) -> String {
    let serial = one.heads.serial().unwrap_or(0);
    let refused = one.refused.as_ref().filter(|refused| refused.serial == Some(serial));
    let why = refused.and_then(|refused| refused.reason.as_ref());
    let why = why.map(|reason| format!(": it is refused, {}", reason.message)).unwrap_or_default();
    format!("serial {serial} of {set} is announced and {how}{why}")
}

#[cfg(test)]
mod tests {
    use schemas::Scope;
    use schemas::status::{Mode, Pending, PendingState, Refusal};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);
    /// A time of day, in microseconds.
    const NOON: Micros = 1_700_000_000_000_000;

    fn saved(confirmed: Micros) -> record::State {
        let scope = Scope::new("acme", "support", "dev").unwrap();
        let mut saved = record::State::new(scope, Mode::Accepting, 0, None);
        saved.word.issued = confirmed;
        saved.word.confirmed = Some(confirmed);
        saved
    }

    fn start() -> Moment {
        Moment::at(HOUR * 100)
    }

    #[test]
    fn a_sleep_counts_and_a_clock_that_is_set_does_not() {
        let here = start();
        let mut word = Word::from_saved(Some(&saved(NOON)), None, NOON + micros(HOUR), here);
        assert_eq!(word.age(here), Some(HOUR));
        // Asleep for a day; nothing here asks what time of day it is.
        assert_eq!(word.age(here + HOUR * 24), Some(HOUR * 25));
        assert_eq!(word.silence(here + HOUR * 24), HOUR * 24);
        word.confirmed_at = Some(here);
        word.heard = Some(here);
        assert_eq!(word.age(here + HOUR), Some(HOUR));
        assert!(!word.silent(here + PERIOD * 2) && word.silent(here + HOUR));
    }

    #[test]
    fn a_clock_behind_what_forge_said_makes_nothing_fresh() {
        let here = start();
        let kept = saved(NOON);
        let word = |now| Word::from_saved(Some(&kept), None, now, here);
        assert_eq!(word(NOON - micros(HOUR)).age(here + SECOND), None, "nobody can tell");
        assert_eq!(word(0).age(here + SECOND), None);
        // As far as clocks may differ, it is of now.
        assert_eq!(word(NOON - micros(CLOCKS)).age(here + SECOND), Some(SECOND));
    }

    #[test]
    fn the_first_word_after_a_sleep_is_in_time() {
        let here = start();
        let mut word = Word::from_saved(None, None, NOON, here);
        word.pace = Some((NOON, here));
        // FORGE went on for a day, and so did the clock that counts sleep.
        let (later, day) = (here + HOUR * 24, NOON + micros(HOUR * 24));
        assert_eq!(word.in_time(day, NOON, later), Ok(()), "whatever the time of day is here");
        assert!(word.in_time(day, NOON, here + HOUR).unwrap_err().contains("from the future"));
        // What was held back while the machine slept is old.
        assert!(word.in_time(NOON + 1, NOON, later).unwrap_err().contains("held back"));
    }

    #[test]
    fn what_is_refused_for_good_is_asked_for_less_and_less_and_what_may_heal_each_minute() {
        let refused = |serial, code| SetState {
            refused: Some(Pending {
                publication: None,
                serial: Some(serial),
                version: None,
                digest: None,
                state: PendingState::Refused,
                reason: Some(Refusal { code, message: String::new() }),
                at: NOON,
            }),
            ..SetState::default()
        };
        // How often serial 7 is asked for in a day.
        let in_a_day = |one: &SetState| {
            let (mut here, mut times) = (start(), 0);
            while here < start() + HOUR * 24 {
                times += 1;
                here = here + retry_head(one, Tried { serial: 7, at: here, times });
            }
            times
        };
        for code in
            [RefusalCode::Contract, RefusalCode::Template, RefusalCode::SchemaVersion, RefusalCode::TooLarge]
        {
            assert!((24..=32).contains(&in_a_day(&refused(7, code))), "{code:?}");
        }
        for one in [
            SetState::default(),
            refused(7, RefusalCode::DigestMismatch),
            refused(7, RefusalCode::Storage),
            refused(6, RefusalCode::Contract),
        ] {
            assert_eq!(in_a_day(&one), 24 * 60, "{one:?}");
        }
    }

    #[test]
    fn rules_hold_from_the_start_where_forge_never_said_anything() {
        let here = start();
        let own = Some(MaxAge { seconds: 60, action: AgeAction::Refuse });
        let word = Word::from_saved(None, own, NOON, here);
        let beyond = |at: Moment| word.rules.beyond(word.age_for_rules(at));
        assert_eq!(beyond(here + SECOND * 60), None);
        assert_eq!(beyond(here + SECOND * 61), own);
    }
}
