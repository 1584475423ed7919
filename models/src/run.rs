//! One request, and its answer as it comes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Response, StatusCode};
use tokio::time::timeout;

use crate::ask::Ask;
use crate::endpoint::{Endpoint, Kind, Model};
use crate::error::ModelError;
use crate::http::{self, Driver};
use crate::sse::Decoder;
use crate::tokens;
use crate::wire::{self, Piece};

/// Most bytes of a refusal that are read.
const REFUSAL_MAX: usize = 64 * 1024;
/// The stream may be so many times as long as the text in it: every event wraps a few letters.
const WRAPPING: usize = 64;

/// The bounds of one run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To connect, TLS included.
    pub connect: Duration,
    /// From the request to the first word of the answer.
    pub first_byte: Duration,
    /// Between two words.
    pub silence: Duration,
    /// For all of it.
    pub total: Duration,
    /// Most text, in bytes.
    pub text: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(60),
            silence: Duration::from_secs(60),
            total: Duration::from_secs(300),
            text: 1024 * 1024,
        }
    }
}

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// More of the answer.
    Text(String),
    /// All of it came.
    Done(Outcome),
}

/// What a run was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// The endpoint did not count; the numbers are our own.
    pub estimated: bool,
    /// In the currency of the file, where the prices are known.
    pub cost: Option<f64>,
    /// From the request to the first of the text, in milliseconds.
    pub first_ms: Option<u64>,
    /// From the request to the end, in milliseconds.
    pub total_ms: u64,
    /// Why the model stopped, in its own word.
    pub stop: Option<String>,
}

/// An answer that is coming. Dropped, it ends: the connection is closed.
#[derive(Debug)]
pub struct Run {
    endpoint: String,
    kind: Kind,
    model: Model,
    limits: Limits,
    began: Instant,
    body: Incoming,
    decoder: Decoder,
    pieces: VecDeque<Piece>,
    /// Our own count of what was asked.
    asked_tokens: u64,
    text: String,
    read: usize,
    input: Option<u64>,
    output: Option<u64>,
    outcome: Outcome,
    ended: bool,
    _driver: Driver,
}

/// Sends a request. What comes back is read by [`Run::next`].
///
/// # Errors
/// [`ModelError`]: not reachable, refused, or no stream.
pub async fn start(endpoint: &Endpoint, model: &Model, ask: &Ask, limits: Limits) -> Result<Run, ModelError> {
    let body = wire::body(endpoint.kind, &model.id, ask)?;
    let began = Instant::now();
    let sent = http::send(endpoint, body.to_string().into_bytes(), limits.connect, limits.first_byte);
    let (response, driver) = sent.await?;
    if !response.status().is_success() {
        return Err(refused(endpoint, model, response, limits).await);
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return Err(ModelError::NotAStream { endpoint: endpoint.name.clone() });
    }
    Ok(Run {
        endpoint: endpoint.name.clone(),
        kind: endpoint.kind,
        model: model.clone(),
        limits,
        began,
        body: response.into_body(),
        decoder: Decoder::default(),
        pieces: VecDeque::new(),
        asked_tokens: ask.messages.iter().map(|m| tokens::of(model, &m.text).tokens).sum(),
        text: String::new(),
        read: 0,
        input: None,
        output: None,
        outcome: Outcome::default(),
        ended: false,
        _driver: driver,
    })
}

/// Why an endpoint did not take the request.
async fn refused(
    endpoint: &Endpoint,
    model: &Model,
    response: Response<Incoming>,
    limits: Limits,
) -> ModelError {
    let status = response.status();
    let retry_after_s =
        response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
    let name = endpoint.name.clone();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ModelError::Key { endpoint: name },
        StatusCode::NOT_FOUND => ModelError::NoModel { endpoint: name, model: model.id.clone() },
        StatusCode::TOO_MANY_REQUESTS => ModelError::TooMany { endpoint: name, retry_after_s },
        _ if status.is_server_error() => ModelError::Failed { endpoint: name, status: status.as_u16() },
        _ => {
            let body = timeout(limits.silence, Limited::new(response.into_body(), REFUSAL_MAX).collect());
            let said = match body.await {
                Ok(Ok(body)) => wire::refusal(&body.to_bytes()),
                _ => String::new(),
            };
            let said = endpoint.key.as_ref().map_or(said.clone(), |key| key.taken_out_of(&said));
            ModelError::Refused { endpoint: name, status: status.as_u16(), said }
        }
    }
}

impl Run {
    /// What comes next; none after [`Event::Done`].
    ///
    /// # Errors
    /// [`ModelError`]: broken off, too slow, too long, or unreadable. Nothing comes after it.
    pub async fn next(&mut self) -> Result<Option<Event>, ModelError> {
        let next = self.advance().await;
        self.ended |= !matches!(next, Ok(Some(Event::Text(_))));
        next
    }

    async fn advance(&mut self) -> Result<Option<Event>, ModelError> {
        while !self.ended {
            match self.pieces.pop_front() {
                Some(Piece::Text(text)) => return self.say(text).map(Some),
                Some(Piece::InputTokens(n)) => self.input = Some(n),
                Some(Piece::OutputTokens(n)) => self.output = Some(n),
                Some(Piece::Stop(why)) => self.outcome.stop = Some(why),
                Some(Piece::End) => return Ok(Some(Event::Done(self.done()))),
                Some(Piece::Failed(said)) => {
                    return Err(ModelError::GaveUp { endpoint: self.endpoint.clone(), said });
                }
                None => {
                    if !self.read().await? {
                        // Some end without a last word; that the model stopped is then what counts.
                        return match &self.outcome.stop {
                            Some(_) => Ok(Some(Event::Done(self.done()))),
                            None => Err(ModelError::Cut { endpoint: self.endpoint.clone() }),
                        };
                    }
                }
            }
        }
        Ok(None)
    }

    fn say(&mut self, text: String) -> Result<Event, ModelError> {
        self.outcome.first_ms.get_or_insert(millis(self.began.elapsed()));
        self.text.push_str(&text);
        if self.text.len() > self.limits.text {
            return Err(self.too_long());
        }
        Ok(Event::Text(text))
    }

    /// Reads more of the stream; false at its end.
    async fn read(&mut self) -> Result<bool, ModelError> {
        let endpoint = self.endpoint.clone();
        let left = self.limits.total.saturating_sub(self.began.elapsed());
        let patience =
            if self.outcome.first_ms.is_none() { self.limits.first_byte } else { self.limits.silence };
        let frame = match timeout(left.min(patience), self.body.frame()).await {
            Err(_) if left <= patience => {
                let seconds = self.limits.total.as_secs();
                return Err(ModelError::TooSlow { endpoint, seconds });
            }
            Err(_) => return Err(ModelError::Late { endpoint, seconds: patience.as_secs() }),
            Ok(None) => return Ok(false),
            Ok(Some(Err(_))) => return Err(ModelError::Cut { endpoint }),
            Ok(Some(Ok(frame))) => frame,
        };
        let Some(bytes) = frame.data_ref() else { return Ok(true) };
        self.read += bytes.len();
        if self.read > self.limits.text.saturating_mul(WRAPPING) {
            return Err(self.too_long());
        }
        let garbled = || ModelError::Garbled { endpoint: endpoint.clone() };
        for data in self.decoder.push(bytes).map_err(|_| garbled())? {
            self.pieces.extend(wire::read(self.kind, &data).ok_or_else(garbled)?);
        }
        Ok(true)
    }

    fn too_long(&self) -> ModelError {
        ModelError::TooLong { endpoint: self.endpoint.clone(), bytes: self.limits.text }
    }

    fn done(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        outcome.estimated = self.input.is_none() || self.output.is_none();
        outcome.input_tokens = self.input.unwrap_or(self.asked_tokens);
        outcome.output_tokens = self.output.unwrap_or_else(|| tokens::of(&self.model, &self.text).tokens);
        outcome.cost = self.model.cost(outcome.input_tokens, outcome.output_tokens);
        outcome.total_ms = millis(self.began.elapsed());
        outcome
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
