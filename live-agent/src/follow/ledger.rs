//! Enrolment, and the durable consumer as the ledger of what this agent has taken up.
//!
//! Both are off the path of a bundle: an agent serves and follows without them. FORGE makes the
//! consumer when the agent enrols; after taking something up, the agent pulls from it and
//! acknowledges, so that anybody can see with `nats consumer ls` who has what.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use nats_config::{header, subject};
use schemas::canonical::Digest;
use schemas::envelope::TrustError;
use schemas::status::{self, EnrolAnswer, EnrolRequest, Mode};
use tokio::sync::watch;

use crate::agent::Core;
use crate::client::{Link, around, jitter};
use crate::verify;
use crate::{VERSION, clock};

/// FORGE is met this long after the connection is made, at most: a fleet does not come at once.
const MEET: Duration = Duration::from_millis(500);
/// An agent that knows nothing waits for FORGE's word.
const MEET_FIRST: Duration = Duration::from_millis(100);
const ASK_AGAIN_FIRST: Duration = Duration::from_secs(1);
const ASK_AGAIN_MOST: Duration = Duration::from_secs(60);
/// What was taken up is acknowledged after this and up to [`SPREAD`] more. The broker writes a file for
/// each answer: a thousand agents that answered at once would keep its disk busy just when the next
/// bundle may come.
const SOON: Duration = Duration::from_secs(1);
const SPREAD: Duration = Duration::from_secs(9);
const ANSWER: Duration = Duration::from_secs(5);
/// How long the broker itself waits for one more message.
const PULL_WAIT: Duration = Duration::from_secs(1);
/// More at once, and the server cuts an agent off that reads slowly.
const BATCH: usize = 4;
/// With nothing to acknowledge the ledger is still looked at now and then.
const LOOK: Duration = Duration::from_secs(60);
/// What came before it was taken up is put off for five seconds, in the words of the broker; it is looked for
/// a little later.
const PUT_OFF_WORD: &str = "-NAK {\"delay\": 5000000000}";
const PUT_OFF: Duration = Duration::from_millis(5_500);

#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    #[error("FORGE does not answer")]
    NoForge,
    #[error("the answer to the enrolment is not FORGE's")]
    Forged(#[source] TrustError),
    #[error("FORGE cannot enrol at the moment: {0}")]
    Unavailable(String),
    #[error("FORGE refuses the enrolment ({code}): {message}")]
    Refused { code: String, message: String },
    #[error("the request could not be sent or read: {0}")]
    Broken(String),
    #[error("the durable consumer is gone")]
    Gone,
    #[error("FORGE's word does not come as it should")]
    Late,
}

/// Enrols, then keeps the ledger, for as long as the agent lives.
pub(crate) async fn run(
    core: &Arc<Core>,
    client: &Client,
    mut link: watch::Receiver<Link>,
) -> Result<(), LedgerError> {
    let mut wait = ASK_AGAIN_FIRST;
    loop {
        if link.wait_for(|l| l.connected).await.is_err() {
            return Ok(());
        }
        let first = core.knows_nothing();
        tokio::time::sleep(jitter(if first { MEET_FIRST } else { MEET })).await;
        let enrolled = enrol(core, client).await;
        if first {
            // Whoever waits for FORGE's word before it takes anything up waits no longer.
            core.tell_follower.notify_one();
        }
        match enrolled {
            Ok(consumer) => {
                wait = ASK_AGAIN_FIRST;
                if let Err(error) = keep(core, client, consumer.as_deref(), &mut link).await {
                    tracing::info!(error = %error, "enrolling again");
                }
            }
            Err(error @ LedgerError::Refused { .. }) => {
                tracing::error!(error = %error, "not enrolled; following all the same");
                wait = ASK_AGAIN_MOST;
            }
            Err(error @ LedgerError::Forged(_)) => {
                tracing::error!(error = %error, reason = ?std::error::Error::source(&error).map(ToString::to_string), "not enrolled; following all the same");
            }
            Err(error) => tracing::debug!(error = %error, "not enrolled yet"),
        }

        tokio::time::sleep(around(wait)).await;
        wait = (wait * 2).min(ASK_AGAIN_MOST);
    }
}

/// Meets FORGE; gives the durable consumer, if there is room for one.
pub(crate) async fn enrol(core: &Core, client: &Client) -> Result<Option<String>, LedgerError> {
    let mut request = EnrolRequest {
        schema_version: status::SCHEMA_VERSION,
        agent: core.name.clone(),
        scope: core.trust.scope().clone(),
        identity: core.identity.public_key(),
        host: core.host.clone(),
        service: core.config.service.clone(),
        agent_version: VERSION.into(),
        mode: core.state().mode,
        contracts: core.config.contracts.clone(),
        at: clock::now(),
        signature: String::new(),
    };
    let signed = request.signed_bytes();
    let signature = core.identity.sign(&signed).map_err(broken)?;
    request.signature = STANDARD.encode(signature);
    let payload = serde_json::to_vec(&request).map_err(broken)?;
    let question = async_nats::Request::new().payload(payload.into()).timeout(Some(ANSWER));
    let subject = subject::enrol(core.trust.scope(), &core.name);
    let answer = client.send_request(subject, question).await.map_err(|_| LedgerError::NoForge)?;
    match serde_json::from_slice(&answer.payload).map_err(broken)? {
        EnrolAnswer::Enrolled { consumer, .. } => {
            believe(core, &answer, Digest::of(&signed))?;
            tracing::info!(agent.id = %core.name, consumer = consumer.as_deref(), "enrolled with FORGE");
            Ok(consumer)
        }
        EnrolAnswer::Refused { code, message } if code == EnrolAnswer::UNAVAILABLE => {
            Err(LedgerError::Unavailable(message))
        }
        EnrolAnswer::Refused { code, message } => Err(LedgerError::Refused { code, message }),
    }
}

/// Takes FORGE's signed word out of its answer.
fn believe(core: &Core, answer: &Message, request: Digest) -> Result<(), LedgerError> {
    let text = |name| answer.headers.as_ref().and_then(|h| h.get(name)).map(|value| value.as_str());
    core.learn(text(header::TRUST));
    let (Some(certificate), Some(signature)) = (text(header::KEY), text(header::ATTESTATION)) else {
        return Err(LedgerError::Forged(TrustError::Missing("signature of the answer")));
    };
    let checked = core.check_enrolment(certificate, signature, &answer.payload, request);
    let (enrolment, by) = checked.map_err(LedgerError::Forged)?;
    core.enrolled(&enrolment, &by);
    Ok(())
}

/// Brings the ledger up to date after each bundle, until the consumer or the connection is gone.
async fn keep(
    core: &Core,
    client: &Client,
    consumer: Option<&str>,
    link: &mut watch::Receiver<Link>,
) -> Result<(), LedgerError> {
    let connects = link.borrow().connects;
    loop {
        let mut look = LOOK;
        if let Some(consumer) = consumer
            && (core.take_due() || core.state().mode == Mode::Accepting)
        {
            loop {
                let pulled = pull(core, client, consumer).await?;
                if pulled.put_off {
                    look = PUT_OFF;
                }
                if pulled.count < BATCH {
                    break;
                }
            }
        }
        tokio::select! {
            () = core.acknowledge.notified() => {
                // What is put off is not to be had before.
                let least = if look < LOOK { look } else { SOON };
                tokio::time::sleep(least + jitter(SPREAD)).await;
            }
            () = tokio::time::sleep(around(look)) => {}
            () = core.meet.notified() => {
                tokio::time::sleep(around(core.period())).await;
                return Err(LedgerError::Late);
            }
            // A broker that was away may have come back without the consumer.
            again = async { link.wait_for(|l| l.connects != connects).await.is_ok() } => {
                return if again { Err(LedgerError::Gone) } else { Ok(()) };
            }
        }
    }
}

/// What a pull brought.
#[derive(Debug, Default)]
struct Pulled {
    count: usize,
    /// Something came that is not taken up yet, and comes again.
    put_off: bool,
}

/// Pulls a few messages and answers each.
async fn pull(core: &Core, client: &Client, consumer: &str) -> Result<Pulled, LedgerError> {
    let scope = core.trust.scope();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(broken)?;
    let question = serde_json::json!({
        "batch": BATCH, "no_wait": true, "expires": u64::try_from(PULL_WAIT.as_nanos()).unwrap_or(0),
    });
    client
        .publish_with_reply(subject::consumer_next(scope, consumer), inbox, question.to_string().into())
        .await
        .map_err(broken)?;
    let mut pulled = Pulled::default();
    while pulled.count < BATCH {
        let Ok(Some(message)) = tokio::time::timeout(ANSWER, answers.next()).await else { break };
        match message.status {
            None => {
                pulled.count += 1;
                pulled.put_off |= answer(core, client, &message).await?;
            }
            Some(StatusCode::NO_RESPONDERS) => return Err(LedgerError::Gone),
            Some(_) => break,
        }
    }
    Ok(pulled)
}

/// Acknowledges what is served, or was passed over; ends what was refused, and what waits behind a pin, which may be
/// for good; puts off the rest, and says so.
async fn answer(core: &Core, client: &Client, message: &Message) -> Result<bool, LedgerError> {
    let Some(reply) = message.reply.clone() else { return Ok(false) };
    let (set, serial) = match verify::head(core.trust.scope(), message) {
        Some(head) => head,
        None => return publish(client, reply, "+TERM not a bundle").await.map(|()| false),
    };
    let fits = core.held_fits(&set);
    let verdict = {
        let state = core.state();
        let one = state.sets.get(&set);
        let active = one.and_then(|s| s.active.as_ref()).map_or(0, |h| h.applied.serial);
        let pinned = one.and_then(|s| s.held.as_ref()).map_or(0, |(held, _)| held.applied.serial);
        let refused = one.and_then(|s| s.refused.as_ref()).and_then(|r| r.serial).unwrap_or(0);
        if serial <= active {
            "+ACK"
        } else if serial <= refused {
            "+TERM refused"
        } else if serial <= pinned && !fits {
            "+TERM pinned to other versions"
        } else {
            PUT_OFF_WORD
        }
    };
    publish(client, reply, verdict).await?;
    Ok(verdict == PUT_OFF_WORD)
}

async fn publish(client: &Client, to: async_nats::Subject, verdict: &'static str) -> Result<(), LedgerError> {
    client.publish(to, verdict.into()).await.map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Broken(error.to_string())
}
