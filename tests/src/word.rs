//! FORGE's side of the talk, all the time: enrols whoever asks, and says its signed word.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use publisher::{Broker, FleetEvent, ProjectKeys};
use schemas::envelope::{Head, Heartbeat};
use schemas::{Scope, Slug};
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use crate::nats::{Registrar, TestBroker, now};

type Heads = Arc<Mutex<BTreeMap<Slug, Head>>>;

/// Speaks until it is dropped.
#[derive(Debug)]
pub struct Word {
    heads: Heads,
    _speaks: AbortOnDropHandle<()>,
}

impl Word {
    /// Begins to speak to `environment` every `period`, which is also how often agents are to say how they are.
    #[must_use]
    pub fn speak(test: &TestBroker, environment: &str, period: Duration) -> Self {
        let heads = Heads::default();
        let speaker = Speaker {
            broker: test.broker.clone(),
            registrar: test.registrar(),
            keys: test.project_keys.clone(),
            certificate: test.certificate.clone(),
            scope: test.scope(environment),
            heads: heads.clone(),
            period,
        };
        Self { heads, _speaks: AbortOnDropHandle::new(tokio::spawn(speaker.run())) }
    }

    /// This is the newest of its set, from the next word on.
    pub fn announce(&self, head: Head) {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).insert(head.set.clone(), head);
    }
}

struct Speaker {
    broker: Broker,
    registrar: Registrar,
    keys: ProjectKeys,
    certificate: String,
    scope: Scope,
    heads: Heads,
    period: Duration,
}

impl Speaker {
    fn word(&self) -> Heartbeat {
        Heartbeat {
            scope: self.scope.clone(),
            issued: now(),
            period_ms: u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX),
            heads: self.heads.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect(),
            trust: 0,
            max_age: None,
            orders: Vec::new(),
        }
    }

    async fn run(self) {
        let mut beats = tokio::time::interval(self.period);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // With the broker away there is nothing to hear.
            let Ok(mut events) = self.broker.fleet().await else {
                beats.tick().await;
                continue;
            };
            loop {
                tokio::select! {
                    event = events.next() => match event {
                        Some(FleetEvent::Enrol(request, responder)) => {
                            let (registrar, word, period) = (self.registrar.clone(), self.word(), self.period);
                            tokio::spawn(async move {
                                // Who is not answered asks again.
                                let _ = registrar.answer_with(&request, responder, period, word).await;
                            });
                        }
                        Some(_) => {}
                        None => break,
                    },
                    _ = beats.tick() => {
                        // A word that cannot be sent is not said later.
                        let _ = self.broker.beat(&self.keys, &self.certificate, None, self.word()).await;
                    }
                }
            }
        }
    }
}
