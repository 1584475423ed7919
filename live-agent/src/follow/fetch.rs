//! Gets bundles by direct get: what came after the floor, the newest of every set, or of one.
//!
//! Runs beside the loop that takes messages up, so that a broker that does not answer never keeps a
//! fresh announcement waiting.

use std::time::Duration;

use async_nats::{Client, Message, StatusCode};
use futures::StreamExt as _;
use nats_config::{header, subject};
use schemas::{Scope, Slug};
use semver::VersionReq;
use tokio::sync::{mpsc, oneshot};

use super::past;
use crate::client::WAITING;

/// Long enough for the largest bundle over a slow line; who is not there says so at once.
const ANSWER: Duration = Duration::from_secs(20);
const NOT_FOUND: u16 = 404;
const END_OF_BATCH: u16 = 204;
/// Messages in one batch of last messages: all of them wait in the subscription while the first is taken up.
const BATCH: usize = WAITING / 2;

/// What a fetch brings, in the order of the stream.
#[derive(Debug)]
pub(crate) enum Fetched {
    Message(Box<Message>),
    /// The newest of a set, asked for by name: it says nothing about what lies before it.
    Head(Box<Message>),
    /// What is to be looked for of a set, if it still is.
    Look(Slug, oneshot::Sender<Option<VersionReq>>),
    /// One that fits the pin of its set, to be taken up or not; with it, where no other is to come.
    Past(Box<Message>, oneshot::Sender<bool>),
    /// All that fits the pin of a set was offered.
    Searched(Slug),
    /// All is here, up to this sequence where it is known.
    Done {
        up_to: Option<u64>,
    },
    Failed(String),
}

/// What to get.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) floor: u64,
    /// Sets whose head FORGE announced and the agent lacks.
    pub(crate) heads: Vec<Slug>,
    /// Pinned sets of which something that fits may stand before the newest.
    pub(crate) past: Vec<Slug>,
}

/// Gets what is wanted and sends it; ends with `Done` or `Failed`.
pub(crate) async fn fetch(client: Client, scope: Scope, wanted: Wanted, out: mpsc::Sender<Fetched>) {
    let result = match wanted.floor {
        0 => replay(&client, &scope, &out).await,
        floor => after(&client, &scope, floor, &out).await,
    };
    let heads = async {
        for set in &wanted.heads {
            let subject = subject::direct_get_last(&scope, set);
            if let Some(message) = ask(&client, subject, String::new()).await? {
                send(&out, Fetched::Head(Box::new(message))).await?;
            }
        }
        for set in &wanted.past {
            past::search(&client, &scope, set, &out).await?;
            send(&out, Fetched::Searched(set.clone())).await?;
        }
        Ok(())
    };
    let last = match result {
        Ok(up_to) => match heads.await {
            Ok(()) => Fetched::Done { up_to },
            Err(why) => Fetched::Failed(why),
        },
        Err(why) => Fetched::Failed(why),
    };
    let _ = out.send(last).await;
}

/// Everything after the floor, one by one until there is no more.
async fn after(
    client: &Client,
    scope: &Scope,
    floor: u64,
    out: &mpsc::Sender<Fetched>,
) -> Result<Option<u64>, String> {
    let bundles = subject::bundles_below(scope);
    let mut next = floor + 1;
    loop {
        let question = serde_json::json!({ "seq": next, "next_by_subj": bundles }).to_string();
        let Some(message) = ask(client, subject::direct_get(scope), question).await? else {
            return Ok(None);
        };
        let found = sequence(&message).ok_or("an answer bears no stream sequence")?;
        if found < next {
            return Err(format!("asked for sequence {next}, got {found}"));
        }
        next = found + 1;
        send(out, Fetched::Message(Box::new(message))).await?;
    }
}

/// The newest of every set, in batches.
async fn replay(client: &Client, scope: &Scope, out: &mpsc::Sender<Fetched>) -> Result<Option<u64>, String> {
    let bundles = subject::bundles_below(scope);
    let (mut from, mut up_to, mut highest) = (0, None, None);
    loop {
        let mut question = serde_json::json!({ "multi_last": [bundles], "batch": BATCH });
        if let (Some(object), Some(up_to)) = (question.as_object_mut(), up_to) {
            object.insert("up_to_seq".into(), u64::into(up_to));
            object.insert("seq".into(), u64::into(from));
        }
        let mut answers = ask_many(client, scope, &question).await?;
        let more = loop {
            match answers.next().await? {
                Part::Message(message) => {
                    highest = highest.max(sequence(&message));
                    send(out, Fetched::Message(message)).await?;
                }
                Part::End { up_to: last, more } => {
                    up_to = last.or(up_to).or(highest);
                    break more;
                }
                Part::Nothing => break 0,
            }
        };
        if more == 0 {
            return Ok(up_to.max(highest));
        }
        from = highest.unwrap_or(0) + 1;
    }
}

/// The answers to a question that has many.
pub(super) struct Answers(async_nats::Subscriber);

/// One answer of many.
pub(super) enum Part {
    Message(Box<Message>),
    /// The batch is complete; so many more there are.
    End {
        up_to: Option<u64>,
        more: u64,
    },
    Nothing,
}

/// Asks for a batch.
pub(super) async fn ask_many(
    client: &Client,
    scope: &Scope,
    question: &serde_json::Value,
) -> Result<Answers, String> {
    let inbox = client.new_inbox();
    let answers = client.subscribe(inbox.clone()).await.map_err(text)?;
    let asked = client.publish_with_reply(subject::direct_get(scope), inbox, question.to_string().into());
    asked.await.map_err(text)?;
    Ok(Answers(answers))
}

impl Answers {
    pub(super) async fn next(&mut self) -> Result<Part, String> {
        let answer = tokio::time::timeout(ANSWER, self.0.next()).await;
        let message = answer.map_err(|_| no_answer())?.ok_or("the connection ended")?;
        match message.status.map(|s| s.as_u16()) {
            None => Ok(Part::Message(Box::new(message))),
            Some(END_OF_BATCH) => Ok(Part::End {
                up_to: number(&message, header::UP_TO_SEQUENCE),
                more: number(&message, header::PENDING).unwrap_or(0),
            }),
            Some(NOT_FOUND) => Ok(Part::Nothing),
            Some(_) => Err(refused(&message)),
        }
    }
}

/// One direct get; none where there is nothing.
pub(super) async fn ask(
    client: &Client,
    subject: String,
    question: String,
) -> Result<Option<Message>, String> {
    let request = async_nats::Request::new().payload(question.into()).timeout(Some(ANSWER));
    let answer = client.send_request(subject, request).await.map_err(|error| match error.kind() {
        async_nats::client::RequestErrorKind::TimedOut => no_answer(),
        async_nats::client::RequestErrorKind::NoResponders => "the broker's streams are not up".into(),
        _ => error.to_string(),
    })?;
    match answer.status {
        None => Ok(Some(answer)),
        Some(StatusCode::NOT_FOUND) => Ok(None),
        Some(_) => Err(refused(&answer)),
    }
}

/// Where a message stands in the stream.
pub(crate) fn sequence(message: &Message) -> Option<u64> {
    number(message, header::SEQUENCE)
}

fn number(message: &Message, name: &str) -> Option<u64> {
    message.headers.as_ref()?.get(name)?.as_str().parse().ok()
}

pub(super) async fn send(out: &mpsc::Sender<Fetched>, one: Fetched) -> Result<(), String> {
    out.send(one).await.map_err(|_| "nobody waits for it any more".into())
}

fn refused(message: &Message) -> String {
    let why = message.description.as_deref().unwrap_or("no reason given");
    format!("the broker refused the question: {why}")
}

const NO_ANSWER: &str = "the broker did not answer; the credential may not be allowed to ask";

fn no_answer() -> String {
    NO_ANSWER.into()
}

/// Whether a fetch failed because nothing came back.
pub(crate) fn unanswered(why: &str) -> bool {
    why == NO_ANSWER
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
