//! One publication: the answer of every agent, as it arrives.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use serde::Serialize;

use super::address::Path;
use super::editor::sentence;
use super::engine;
use super::fault::PageResult;
use super::new::{Ask, ask};
use super::view::{
    Action as Way, Bar, Callout, Moment, Tally, bytes, count, duration, encoded, grouped, short,
};
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::ProjectAt;
use crate::clock;
use crate::contract::Overridden;
use crate::database::publication::{Publication, PublicationFull};
use crate::error::ApiError;
use crate::publish::{self, AgentAnswer, Answer, PublicationView};
use crate::state::AppState;

/// Rows of agents that are active; those that need somebody are all shown, up to [`ROWS_MAX`].
const ACTIVE_ROWS: usize = 25;
const ROWS_MAX: usize = 200;
/// Prompts of an override that are named.
const PROMPTS_SHOWN: usize = 5;
/// Longer than this, in microseconds, a publication is only sent when the broker is away.
const SENDING: i64 = 3_000_000;
/// So long, in microseconds, an agent that is there may take to answer.
const ANSWERING: i64 = 5_000_000;
/// Agents that are named before a retry.
const NAMED: usize = 5;

#[derive(Debug, Serialize)]
struct Page {
    set: String,
    version: String,
    environment: String,
    number: i64,
    serial: String,
    at: Moment,
    by: String,
    replaces: Option<String>,
    back: Option<Back>,
    stage: Stage,
    answer: AnswerView,
    digest: String,
    digest_short: String,
    size: Option<String>,
    key: Option<String>,
    key_short: String,
    life: Vec<Step>,
    overridden: Vec<Override>,
}

/// A service that the version breaks, and that who published it named.
#[derive(Debug, Serialize)]
struct Override {
    name: String,
    agents: String,
    prompts: String,
}

impl Override {
    fn of(one: Overridden) -> Self {
        let mut prompts = one.prompts.iter().take(PROMPTS_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        if one.prompts.len() > PROMPTS_SHOWN {
            prompts.push_str(" and more");
        }
        Self { name: one.name, agents: count(one.agents as u64, "agent", "agents"), prompts }
    }
}

/// The way back: publishing the version before again.
#[derive(Debug, Serialize)]
struct Back {
    version: String,
    /// What was live before is the newer version: this publication took it back.
    newer: bool,
    href: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Step {
    icon: &'static str,
    what: String,
    at: Moment,
}

/// Whether a publication has waited for longer than sending one takes.
pub(crate) fn held_up(publication: &Publication) -> bool {
    publication.state == "waiting" && clock::now() - publication.created_at > SENDING
}

/// A word for where a publication is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stage {
    pub state: &'static str,
    pub word: &'static str,
}

impl Stage {
    pub(crate) fn of(publication: &Publication, newer: bool) -> Self {
        match publication.state.as_str() {
            "waiting" if held_up(publication) => Self { state: "warn", word: "waits for the broker" },
            "waiting" => Self { state: "info", word: "is being sent" },
            "failed" => Self { state: "bad", word: "not sent" },
            "superseded" => Self { state: "delivered", word: "replaced before it was sent" },
            _ if newer => Self { state: "delivered", word: "replaced" },
            _ => Self { state: "ok", word: "live" },
        }
    }
}

/// The part of the page that changes by itself.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct AnswerView {
    pub waiting: Option<Callout>,
    pub line: String,
    pub after: Option<String>,
    pub spread: Option<String>,
    pub bar: Bar,
    pub legend: Vec<Tally>,
    pub total: usize,
    pub groups: Vec<Group>,
    pub more: Option<String>,
    pub environment: String,
    pub project: String,
    /// For whom it can be tried again.
    pub retry: Option<Way>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Group {
    pub title: &'static str,
    pub count: usize,
    pub agents: Vec<AgentRow>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct AgentRow {
    pub id: String,
    pub host: String,
    pub state: &'static str,
    pub word: &'static str,
    pub moving: bool,
    pub why: String,
    pub serves: String,
    pub after: String,
}

const GROUPS: [(&str, &[Answer]); 4] = [
    ("Need attention", &[Answer::Refused, Answer::Unreachable]),
    ("On the way", &[Answer::Waiting, Answer::Delivered]),
    ("Held back, would apply", &[Answer::Frozen, Answer::Pinned]),
    ("Active", &[Answer::Active]),
];

impl AnswerView {
    pub(crate) fn of(at: &ProjectAt, view: &PublicationView, may_publish: bool) -> Self {
        let total = view.answers.len();
        let active = view.count(Answer::Active);
        let legend: Vec<Tally> = [
            Answer::Active,
            Answer::Delivered,
            Answer::Waiting,
            Answer::Frozen,
            Answer::Pinned,
            Answer::Refused,
            Answer::Unreachable,
        ]
        .map(|a| Tally { state: tone(a), word: a.as_str(), count: view.count(a) as u64 })
        .into_iter()
        .filter(|t| t.count > 0)
        .collect();
        let version = &view.full.version.version;
        let mut groups = Vec::new();
        let mut hidden = 0;
        for (title, kinds) in GROUPS {
            let of_kind: Vec<&AgentAnswer> =
                view.answers.iter().filter(|a| kinds.contains(&a.answer)).collect();
            if of_kind.is_empty() {
                continue;
            }
            let most = if title == "Active" { ACTIVE_ROWS } else { ROWS_MAX };
            hidden += of_kind.len().saturating_sub(most);
            let agents = of_kind.iter().take(most).map(|a| AgentRow::of(a, version)).collect();
            groups.push(Group { title, count: of_kind.len(), agents });
        }
        Self {
            waiting: waiting(view),
            line: if total == 0 {
                "No agent yet".to_owned()
            } else {
                format!("{} of {} active", grouped(active as u64), grouped(total as u64))
            },
            after: view.converged_after().map(duration),
            spread: spread(view),
            bar: Bar::of(&legend),
            legend,
            total,
            groups,
            more: (hidden > 0)
                .then(|| format!("{} more are not listed here.", count(hidden as u64, "agent", "agents"))),
            environment: view.full.environment.slug.clone(),
            project: format!("/{}/{}", at.organisation.slug, at.project.slug),
            retry: retry_way(at, view).filter(|_| may_publish),
        }
    }
}

/// The way to try it again, once those that are there had time to answer.
fn retry_way(at: &ProjectAt, view: &PublicationView) -> Option<Way> {
    let publication = &view.full.publication;
    let fresh = clock::now() - publication.created_at < ANSWERING;
    if view.retryable().is_err() || (fresh && view.count(Answer::Refused) == 0) {
        return None;
    }
    Some(Way { text: retry_words(view), href: retry_address(at, publication.number) })
}

fn retry_words(view: &PublicationView) -> String {
    match view.unserved() {
        0 => format!("Retry publication {}", view.full.publication.number),
        n => format!("Retry {}", grouped(n as u64)),
    }
}

fn retry_address(at: &ProjectAt, number: i64) -> String {
    format!("/{}/{}/-/publications/{number}/retry", at.organisation.slug, at.project.slug)
}

/// The look of an answer: what is held back looks the same, whoever holds it.
fn tone(answer: Answer) -> &'static str {
    if answer == Answer::Pinned { Answer::Frozen.as_str() } else { answer.as_str() }
}

/// `p50 71 ms · p99 166 ms`, where there are enough agents for it to say something.
fn spread(view: &PublicationView) -> Option<String> {
    let mut times: Vec<i64> =
        view.answers.iter().filter(|a| a.answer == Answer::Active).filter_map(|a| a.after).collect();
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
    match (times.len(), at(50), at(99)) {
        (5.., Some(half), Some(most)) => Some(format!("p50 {} · p99 {}", duration(half), duration(most))),
        _ => None,
    }
}

/// A publication that has not gone out says why and what happens next.
fn waiting(view: &PublicationView) -> Option<Callout> {
    let publication = &view.full.publication;
    let serving = view.replaced.as_ref().map_or_else(
        || "No agent serves this set yet.".to_owned(),
        |old| format!("Agents go on serving {}.", old.version.version),
    );
    match publication.state.as_str() {
        "waiting" => {
            let tries = view.outbox.as_ref().map_or(0, |o| o.attempts);
            if tries == 0 {
                return None;
            }
            let mut callout = Callout::info(
                format!("Publication {} waits for the broker.", publication.number),
                format!("It is stored and goes out by itself when the broker is back. {serving}"),
            );
            let next = view.outbox.as_ref().map_or(0, |o| o.not_before - clock::now());
            callout.small = Some(format!(
                "tried {}, next {}",
                count(tries.unsigned_abs(), "time", "times"),
                if next > 0 { format!("in {}", duration(next)) } else { "now".to_owned() }
            ));
            Some(callout)
        }
        "failed" => Some(Callout::bad(
            format!("Publication {} was not sent.", publication.number),
            format!(
                "{} {serving}",
                sentence(publication.error.as_deref().unwrap_or("the broker refused it"))
            ),
        )),
        _ => None,
    }
}

impl AgentRow {
    fn of(answer: &AgentAnswer, version: &str) -> Self {
        let agent = &answer.agent;
        let reason = answer.acknowledgement.as_ref().and_then(|a| a.reason.clone()).unwrap_or_default();
        let heard = || Moment::relative(agent.last_seen_at).text;
        let why = match answer.answer {
            Answer::Refused if reason.is_empty() => "it gave no reason".to_owned(),
            Answer::Refused => reason,
            Answer::Unreachable => format!("last heard {}; replays when it is back", heard()),
            Answer::Frozen => format!("checked {version}; applies it when it is thawed"),
            Answer::Pinned => format!("checked {version}; its owner pinned the set to other versions"),
            Answer::Delivered => "checking signature and serial".to_owned(),
            Answer::Waiting => "has not answered yet".to_owned(),
            Answer::Active => String::new(),
        };
        let active = answer.answer == Answer::Active;
        Self {
            id: agent.name.clone(),
            host: agent.host.clone(),
            state: tone(answer.answer),
            word: answer.answer.as_str(),
            moving: matches!(answer.answer, Answer::Waiting | Answer::Delivered),
            why,
            serves: if active { version.to_owned() } else { String::new() },
            after: answer.after.filter(|_| active).map(duration).unwrap_or_default(),
        }
    }
}

/// `GET /{organisation}/{project}/-/publications/{number}`.
pub(super) async fn get_publication(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, number)): Path<(String, String, i64)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let view = publish::find(&state, &visitor.actor, &at, number).await?;
    let page = page(&visitor, &at, &view);
    let mut frame = visitor
        .in_project(&at)
        .crumb("Publications", format!("/{o}/{p}/-/publications"))
        .titled(number.to_string(), "publications")
        .following(encoded(&format!("publication/{o}/{p}/{number}")));
    frame.title = format!("Publication {number}");
    Ok(engine::page(StatusCode::OK, "publication.html", &frame, &page))
}

/// `GET /{organisation}/{project}/-/publications/{number}/retry`: for whom, and what it does.
pub(super) async fn get_retry(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, number)): Path<(String, String, i64)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    at.require(&visitor.actor, Action::Publish)?;
    let view = publish::find(&state, &visitor.actor, &at, number).await?;
    let back = format!("/{o}/{p}/-/publications/{number}");
    if view.retryable().is_err() {
        return Ok(Redirect::to(&back).into_response());
    }
    let title = retry_words(&view);
    let frame = visitor
        .in_project(&at)
        .crumb("Publications", format!("/{o}/{p}/-/publications"))
        .crumb(number.to_string(), &back)
        .titled(&title, "publications")
        .narrow();
    Ok(ask(
        &frame,
        Ask {
            text: format!(
                "{} {} is published to {} once more, with the next serial. Agents that serve it find the same bytes and change nothing; the others look at it again.",
                view.full.set.slug, view.full.version.version, view.full.environment.slug
            ),
            action: retry_address(&at, number),
            back,
            button: title.clone(),
            facts: unserved(&view),
            title,
        },
    ))
}

/// Who does not have it, and why.
fn unserved(view: &PublicationView) -> Vec<(&'static str, String)> {
    let version = &view.full.version.version;
    let without = view.answers.iter().filter(|a| matches!(a.answer, Answer::Refused | Answer::Waiting));
    let mut facts: Vec<_> = without
        .take(NAMED)
        .map(|a| {
            let row = AgentRow::of(a, version);
            ("Agent", format!("{}: {}, {}", row.id, row.word, row.why))
        })
        .collect();
    let more = view.unserved().saturating_sub(NAMED);
    if more > 0 {
        facts.push(("Agent", format!("and {} more", grouped(more as u64))));
    }
    facts
}

/// `POST /{organisation}/{project}/-/publications/{number}/retry`.
pub(super) async fn post_retry(
    visitor: Visitor,
    State(state): State<AppState>,
    Path((o, p, number)): Path<(String, String, i64)>,
) -> PageResult {
    let at = visitor.project(&state, &o, &p).await?;
    let made = publish::retry(&state, &visitor.actor, &at, number).await?;
    Ok(Redirect::to(&format!("/{o}/{p}/-/publications/{}", made.publication.number)).into_response())
}

fn page(visitor: &Visitor, at: &ProjectAt, view: &PublicationView) -> Page {
    let PublicationFull { publication, environment, set, version } = &view.full;
    let base = format!("/{}/{}/{}", at.organisation.slug, at.project.slug, set.slug);
    let may_publish = at.lets(&visitor.actor, Action::Publish);
    let back = view.back.as_ref().filter(|_| may_publish && view.newer.is_none()).map(|old| Back {
        version: old.version.version.clone(),
        newer: old.version.created_at > version.created_at,
        href: format!(
            "{base}/-/publish?version={}&environment={}",
            encoded(&old.version.version),
            encoded(&environment.slug)
        ),
    });
    let key = signer(&publication.attestation);
    Page {
        set: set.slug.clone(),
        version: version.version.clone(),
        environment: environment.slug.clone(),
        number: publication.number,
        serial: match &view.replaced {
            Some(old) => format!("{}, after {}", publication.serial, old.publication.serial),
            None => format!("{}, the first", publication.serial),
        },
        at: Moment::relative(publication.created_at),
        by: publication.published_by.clone(),
        replaces: view.replaced.as_ref().map(|old| old.version.version.clone()),
        back,
        stage: Stage::of(publication, view.newer.is_some()),
        answer: AnswerView::of(at, view, may_publish),
        digest_short: short(&version.digest),
        digest: version.digest.clone(),
        size: Some(bytes(version.size.unsigned_abs())),
        key_short: key.as_deref().map(short).unwrap_or_default(),
        key,
        life: life(view),
        overridden: view.overridden().into_iter().map(Override::of).collect(),
    }
}

/// What happened to a publication, in order.
fn life(view: &PublicationView) -> Vec<Step> {
    let publication = &view.full.publication;
    let mut life = vec![Step {
        icon: "signed",
        what: "Signed and stored".to_owned(),
        at: Moment::clock(publication.created_at),
    }];
    if let Some(sent) = publication.sent_at {
        life.push(Step { icon: "publish", what: "Sent to the broker".to_owned(), at: Moment::clock(sent) });
    }
    if let Some(after) = view.converged_after() {
        let active = view.count(Answer::Active);
        let what = if active == view.answers.len() {
            "Active everywhere".to_owned()
        } else {
            format!("Active on {} of {}", active, view.answers.len())
        };
        life.push(Step { icon: "check", what, at: Moment::clock(publication.created_at + after) });
    }
    if let Some(newer) = &view.newer {
        life.push(Step {
            icon: "arrow",
            what: format!("Replaced by {} (publication {})", newer.version.version, newer.publication.number),
            at: Moment::clock(newer.publication.created_at),
        });
    }
    life
}

/// The public key that signed the attestation.
fn signer(attestation: &str) -> Option<String> {
    let envelope: serde_json::Value = serde_json::from_str(attestation).ok()?;
    envelope.pointer("/signatures/0/keyid")?.as_str().map(ToOwned::to_owned)
}

/// The fragments of one publication.
pub(super) async fn fragments(
    state: &AppState,
    visitor: &Visitor,
    o: &str,
    p: &str,
    number: &str,
) -> Result<(AnswerView, Stage, Vec<Step>), ApiError> {
    let at = visitor.project(state, o, p).await?;
    let number = number.parse().map_err(|_| ApiError::NotFound("publication"))?;
    let view = publish::find(state, &visitor.actor, &at, number).await?;
    let stage = Stage::of(&view.full.publication, view.newer.is_some());
    let may_publish = at.lets(&visitor.actor, Action::Publish);
    Ok((AnswerView::of(&at, &view, may_publish), stage, life(&view)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(answer: &AnswerView) -> String {
        let stage = Stage { state: "ok", word: "live" };
        engine::fragment("live.html", &json!({ "answer": answer, "stage": stage, "life": [], "fleet": null }))
            .unwrap()
    }

    #[test]
    fn a_publication_without_agents_says_how_the_first_one_comes() {
        let html = rendered(&AnswerView {
            line: "No agent yet".into(),
            environment: "prod".into(),
            project: "/acme/shop".into(),
            ..AnswerView::default()
        });
        assert!(html.contains("No agent is connected to prod"), "{html}");
        assert!(html.contains("href=\"/acme/shop/-/credentials\""), "{html}");
        assert!(!html.contains("<table"), "{html}");
    }

    #[test]
    fn refusals_stand_first_with_their_reason_escaped() {
        let row = |id: &str, state: &'static str, why: &str| AgentRow {
            id: id.into(),
            host: "h".into(),
            state,
            word: state,
            moving: false,
            why: why.into(),
            serves: String::new(),
            after: String::new(),
        };
        let group = |title, agents: Vec<AgentRow>| Group { title, count: agents.len(), agents };
        let legend = vec![
            Tally { state: "active", word: "active", count: 1 },
            Tally { state: "refused", word: "refused", count: 1 },
        ];
        let html = rendered(&AnswerView {
            waiting: Some(Callout::info("Publication 7 waits for the broker.", "It goes out by itself.")),
            line: "1 of 2 active".into(),
            bar: Bar::of(&legend),
            legend,
            total: 2,
            groups: vec![
                group("Need attention", vec![row("kiosk", "refused", "needs <b> & more")]),
                group("Active", vec![row("till", "active", "")]),
            ],
            ..AnswerView::default()
        });
        let at = |part: &str| html.find(part).unwrap_or_else(|| panic!("{part} in {html}"));
        assert!(at("id=\"agent-kiosk\"") < at("id=\"agent-till\""));
        at("needs &lt;b&gt; &amp; more");
        at("waits for the broker");
        at("aria-label=\"1 active, 1 refused\"");
        at("aria-live=\"polite\"");
    }
}
