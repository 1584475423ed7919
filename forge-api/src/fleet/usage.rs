//! Use of prompts, counted once: agents tell counts since their start, and what is more than they told before is
//! added to the hour in which it was heard.
//!
//! Counts only grow while an agent lives, so the highest that was heard of each is all that has to be known: a
//! status that comes twice, late or out of order adds nothing, one that gets lost loses nothing, and an agent that
//! starts again begins another life with counts of its own.

mod lives;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use schemas::Micros;
use schemas::bundle::Bundle;
use schemas::status::{AgentStatus, PromptUsage, USAGE_MAX};
use tokio::time::Instant;

use crate::aside::USES;
use crate::clock;
use crate::database::usage::{self, FULL, Life, Seen, UsageHour};
use crate::database::{Tx, prompt_set, version};
use crate::error::{ApiError, Result, chain};
use crate::state::AppState;
use crate::usage::HOUR;
use lives::{LIVES, Lives};

/// What is not known is looked up again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Versions whose prompts are read for one batch. The counts of the others come again.
const READS: usize = 8;
/// The statuses of every fleet wait so long for room to read a version, and no longer.
const WAIT: Duration = Duration::from_millis(50);
/// Prompts of versions that are remembered; above that all are forgotten and read again.
const PROMPTS_KNOWN: usize = 1_000_000;
/// Counts that are remembered, to pass over what was told before.
const REMEMBERED: usize = 200_000;
/// Prompts of one life that are counted.
const LIFE_PROMPTS: i64 = 2_000;
/// Rows of one environment and hour.
const HOUR_ROWS: usize = 20_000;
/// Most that one word adds to one count.
const ADDED_MAX: i64 = 1_000_000_000_000;

/// Renders, errors, calls, call errors, input tokens, output tokens, latency and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts([i64; 8]);

impl Counts {
    fn told(usage: &PromptUsage) -> Self {
        Self(
            [
                usage.renders,
                usage.errors,
                usage.calls,
                usage.call_errors,
                usage.input_tokens,
                usage.output_tokens,
                usage.latency_us,
                usage.cost_micros,
            ]
            .map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
        )
    }

    fn of(row: &Seen) -> Self {
        Self([
            row.renders,
            row.errors,
            row.calls,
            row.call_errors,
            row.input_tokens,
            row.output_tokens,
            row.latency_us,
            row.cost_micros,
        ])
    }

    fn with(mut self, other: Self, each: impl Fn(i64, i64) -> i64) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = each(*mine, theirs);
        }
        self
    }

    fn highest(self, other: Self) -> Self {
        self.with(other, i64::max)
    }

    /// What is above what was heard before.
    fn above(self, before: Self) -> Self {
        self.with(before, |now, before| now.saturating_sub(before).max(0))
    }
}

/// A version that FORGE knows.
#[derive(Debug)]
struct Known {
    set_id: String,
    version_id: String,
}

/// The versions of a project.
struct Shelf {
    looked_at: Instant,
    /// By set and version.
    versions: HashMap<(String, String), Arc<Known>>,
}

/// What one life of an agent tells of one prompt.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    counts: Counts,
    p50_ns: i64,
    p99_ns: i64,
}

/// Environment, agent and start.
type LifeKey = (String, String, Micros);
/// Version and prompt.
type PromptKey = (String, String);

/// A status that is taken up.
pub(super) struct Word<'a> {
    pub(super) project_id: &'a str,
    pub(super) environment_id: &'a str,
    pub(super) status: &'a AgentStatus,
}

#[derive(Default)]
pub(super) struct Meter {
    shelves: HashMap<String, Shelf>,
    /// The prompts of versions, by the version's id.
    prompts: HashMap<String, HashSet<String>>,
    prompts_known: usize,
    /// No more than what is written: it says what to pass over, not what to add.
    heard: HashMap<LifeKey, HashMap<PromptKey, Counts>>,
    remembered: usize,
    /// Not yet committed.
    written: Vec<(LifeKey, PromptKey, Counts)>,
    /// The rows that an environment has in the hour, as far as is known here.
    hours: HashMap<String, (Micros, HashSet<PromptKey>)>,
}

impl Meter {
    /// Looks up the versions that these words name. What cannot be had now is not counted now: agents tell it again,
    /// and nobody's status waits for it.
    pub(super) async fn learn(&mut self, state: &AppState, words: &[Word<'_>]) {
        if let Err(error) = self.look_up(state, words).await {
            tracing::warn!(error = %chain(&error), "versions could not be read; their use is counted when it is told again");
        }
    }

    async fn look_up(&mut self, state: &AppState, words: &[Word<'_>]) -> Result<()> {
        let mut reads = 0;
        let mut failed = Ok(());
        for word in words {
            for used in word.status.usage.iter().take(USAGE_MAX) {
                let key = (used.set.to_string(), used.version.to_string());
                let shelf = self.shelves.get(word.project_id);
                let known = shelf.is_some_and(|shelf| shelf.versions.contains_key(&key));
                if !known && shelf.is_none_or(|shelf| shelf.looked_at.elapsed() > LOOK_AGAIN) {
                    self.shelve(state, word.project_id).await?;
                }
                let shelf = self.shelves.get(word.project_id);
                let Some(known) = shelf.and_then(|shelf| shelf.versions.get(&key)).map(Arc::clone) else {
                    continue;
                };
                if reads < READS && !self.prompts.contains_key(&known.version_id) {
                    reads += 1;
                    match self.read(state, &known.version_id).await {
                        // One version that cannot be read is no reason not to read the next.
                        Err(error) if !matches!(error, ApiError::Unavailable(_)) => failed = Err(error),
                        done => done?,
                    }
                }
            }
        }
        failed
    }

    async fn shelve(&mut self, state: &AppState, project_id: &str) -> Result<()> {
        let mut conn = state.database.read().await?;
        let mut versions = HashMap::new();
        for set in prompt_set::of_project(&mut conn, project_id).await? {
            for found in version::of_set(&mut conn, &set.id).await? {
                let known = Known { set_id: set.id.clone(), version_id: found.id };
                versions.insert((set.slug.clone(), found.version), Arc::new(known));
            }
        }
        self.shelves.insert(project_id.to_owned(), Shelf { looked_at: Instant::now(), versions });
        Ok(())
    }

    async fn read(&mut self, state: &AppState, version_id: &str) -> Result<()> {
        let place = USES.enter_within(WAIT).await?;
        let body = {
            let mut conn = state.database.read().await?;
            version::body(&mut conn, version_id).await?.ok_or(ApiError::NotFound("version"))?
        };
        let prompts: HashSet<String> = place
            .work(move || {
                Ok(Bundle::from_body(&body)?.prompts.iter().map(|prompt| prompt.id.to_string()).collect())
            })
            .await?;
        if self.prompts_known > PROMPTS_KNOWN {
            self.prompts.clear();
            self.prompts_known = 0;
        }
        self.prompts_known += prompts.len();
        self.prompts.insert(version_id.to_owned(), prompts);
        Ok(())
    }

    /// Adds what these words tell that was not told before, to the hour of now. The agents' rows are held by the
    /// transaction already: nobody counts the same at the same time.
    pub(super) async fn count(&mut self, tx: &mut Tx, words: &[Word<'_>]) -> Result<()> {
        self.written.clear();
        let news = self.news(words);
        if news.is_empty() {
            return Ok(());
        }
        let now = clock::now();
        let hour = now - now.rem_euclid(HOUR);
        let mut lives = Lives::load(tx, news.keys()).await?;
        let mut hours: BTreeMap<(String, String, PromptKey), UsageHour> = BTreeMap::new();
        let mut rows: BTreeMap<LifeKey, (Life, Vec<Seen>)> = BTreeMap::new();
        for (key, told) in news {
            let Some((mut life, ended)) = lives.admit(tx, &key, now).await? else { continue };
            // What ended within this batch leaves no rows.
            for gone in ended {
                rows.remove(&gone);
            }
            let mut seen = Vec::new();
            let prompts: HashSet<&str> = told.keys().map(|(prompt, _)| prompt.1.as_str()).collect();
            let prompts: Vec<&str> = prompts.into_iter().collect();
            let before: HashMap<PromptKey, Counts> = usage::seen(tx, (&key.0, &key.1, key.2), &prompts)
                .await?
                .into_iter()
                .map(|row| ((row.version_id.clone(), row.prompt.clone()), Counts::of(&row)))
                .collect();
            for ((prompt, set_id), told) in told {
                let known = before.get(&prompt).copied();
                if known.is_none() && life.prompts >= LIFE_PROMPTS {
                    continue;
                }
                let highest = told.counts.highest(known.unwrap_or_default());
                let added = told.counts.above(known.unwrap_or_default());
                if added == Counts::default() {
                    self.written.push((key.clone(), prompt, highest));
                    continue;
                }
                // What finds no place in this hour finds one in the next.
                if !self.has_place(tx, &key.0, hour, &prompt).await? {
                    continue;
                }
                life.prompts += i64::from(known.is_none());
                hours
                    .entry((key.0.clone(), set_id.clone(), prompt.clone()))
                    .or_insert_with(|| empty(&key.0, &set_id, hour, &prompt))
                    .add(added, told);
                seen.push(seen_row(&key, &prompt, highest));
                self.written.push((key.clone(), prompt, highest));
            }
            rows.insert(key, (life, seen));
        }
        let (lives, seen): (Vec<Life>, Vec<Vec<Seen>>) = rows.into_values().unzip();
        usage::add(tx, &hours.into_values().collect::<Vec<_>>()).await?;
        usage::put_seen(tx, &seen.concat()).await?;
        usage::put_lives(tx, &lives).await?;
        Ok(())
    }

    /// What the words tell that is above what is remembered, with the id of the set.
    fn news(&self, words: &[Word<'_>]) -> BTreeMap<LifeKey, BTreeMap<(PromptKey, String), Told>> {
        let mut news: BTreeMap<LifeKey, BTreeMap<(PromptKey, String), Told>> = BTreeMap::new();
        for word in words {
            let status = word.status;
            let life = (word.environment_id.to_owned(), status.agent.to_string(), status.started_at);
            let heard = self.heard.get(&life);
            let Some(shelf) = self.shelves.get(word.project_id) else { continue };
            for used in status.usage.iter().take(USAGE_MAX) {
                let version = (used.set.to_string(), used.version.to_string());
                let Some(known) = shelf.versions.get(&version) else { continue };
                let prompts = self.prompts.get(&known.version_id);
                if !prompts.is_some_and(|prompts| prompts.contains(&used.prompt)) {
                    continue;
                }
                let prompt = (known.version_id.clone(), used.prompt.clone());
                let counts = Counts::told(used);
                let before = heard.and_then(|heard| heard.get(&prompt)).copied().unwrap_or_default();
                if counts.above(before) == Counts::default() {
                    continue;
                }
                let nanoseconds = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                let told =
                    news.entry(life.clone()).or_default().entry((prompt, known.set_id.clone())).or_default();
                told.counts = told.counts.highest(counts);
                told.p50_ns = nanoseconds(used.render_p50_ns);
                told.p99_ns = told.p99_ns.max(nanoseconds(used.render_p99_ns));
            }
        }
        newest_lives(&mut news);
        news
    }

    /// Whether an environment has a row of this prompt in the hour, or room for one more.
    async fn has_place(
        &mut self,
        tx: &mut Tx,
        environment_id: &str,
        hour: Micros,
        prompt: &PromptKey,
    ) -> Result<bool> {
        if self.hours.get(environment_id).is_none_or(|(of, _)| *of != hour) {
            let there = usage::in_hour(tx, environment_id, hour).await?.into_iter().collect();
            self.hours.insert(environment_id.to_owned(), (hour, there));
        }
        let Some((_, there)) = self.hours.get_mut(environment_id) else { return Ok(false) };
        if there.contains(prompt) {
            return Ok(true);
        }
        if there.len() >= HOUR_ROWS {
            tracing::debug!(
                environment.id = environment_id,
                rows = HOUR_ROWS,
                "use of more prompts is counted in the next hour"
            );
            return Ok(false);
        }
        there.insert(prompt.clone());
        Ok(true)
    }

    /// What was counted is committed.
    pub(super) fn settle(&mut self) {
        if self.remembered > REMEMBERED {
            self.heard.clear();
            self.remembered = 0;
        }
        self.remembered += self.written.len();
        for (life, prompt, counts) in self.written.drain(..) {
            self.heard.entry(life).or_default().insert(prompt, counts);
        }
    }

    /// What was counted is not committed.
    pub(super) fn forget(&mut self) {
        self.written.clear();
        self.heard.clear();
        self.remembered = 0;
        self.hours.clear();
    }
}

/// Of more lives of one agent than are known at once, those that began last: whoever names more of them in one batch
/// asks the database for no more.
fn newest_lives<T>(news: &mut BTreeMap<LifeKey, T>) {
    let mut of_each: HashMap<(String, String), usize> = HashMap::new();
    for (environment, agent, _) in news.keys() {
        *of_each.entry((environment.clone(), agent.clone())).or_default() += 1;
    }
    of_each.retain(|_, lives| *lives > LIVES);
    if of_each.is_empty() {
        return;
    }
    news.retain(|(environment, agent, _), _| match of_each.get_mut(&(environment.clone(), agent.clone())) {
        Some(left) if *left > LIVES => {
            *left -= 1;
            false
        }
        _ => true,
    });
}

fn empty(environment_id: &str, set_id: &str, hour: Micros, (version_id, prompt): &PromptKey) -> UsageHour {
    UsageHour {
        environment_id: environment_id.to_owned(),
        set_id: set_id.to_owned(),
        hour,
        version_id: version_id.clone(),
        prompt: prompt.clone(),
        renders: 0,
        errors: 0,
        render_p50_ns: 0,
        render_p99_ns: 0,
        calls: 0,
        call_errors: 0,
        input_tokens: 0,
        output_tokens: 0,
        latency_us: 0,
        cost_micros: 0,
    }
}

/// Two medians, each weighed by the renders that it stands for. One that stands for none says nothing.
fn weighed((a, of_a): (i64, i64), (b, of_b): (i64, i64)) -> i64 {
    match (a > 0 && of_a > 0, b > 0 && of_b > 0) {
        (_, false) => a,
        (false, true) => b,
        (true, true) => {
            let sum = i128::from(a) * i128::from(of_a) + i128::from(b) * i128::from(of_b);
            i64::try_from(sum / (i128::from(of_a) + i128::from(of_b))).unwrap_or(i64::MAX)
        }
    }
}

impl UsageHour {
    fn add(&mut self, added: Counts, told: Told) {
        let [renders, errors, calls, call_errors, input, output, latency, cost] = added.0;
        self.render_p50_ns =
            weighed((self.render_p50_ns, self.renders), (told.p50_ns, renders.min(ADDED_MAX)));
        for (sum, more) in [
            (&mut self.renders, renders),
            (&mut self.errors, errors),
            (&mut self.calls, calls),
            (&mut self.call_errors, call_errors),
            (&mut self.input_tokens, input),
            (&mut self.output_tokens, output),
            (&mut self.latency_us, latency),
            (&mut self.cost_micros, cost),
        ] {
            *sum = sum.saturating_add(more.min(ADDED_MAX)).min(FULL);
        }
        self.render_p99_ns = self.render_p99_ns.max(told.p99_ns);
    }
}

fn seen_row((environment_id, agent, started_at): &LifeKey, prompt: &PromptKey, counts: Counts) -> Seen {
    let [renders, errors, calls, call_errors, input_tokens, output_tokens, latency_us, cost_micros] =
        counts.0;
    Seen {
        environment_id: environment_id.clone(),
        agent: agent.clone(),
        started_at: *started_at,
        version_id: prompt.0.clone(),
        prompt: prompt.1.clone(),
        renders,
        errors,
        calls,
        call_errors,
        input_tokens,
        output_tokens,
        latency_us,
        cost_micros,
    }
}
