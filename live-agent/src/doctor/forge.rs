//! Whether FORGE answers, and what its clock says against this machine's.

use std::time::Duration;

use async_nats::Client;
use futures::StreamExt as _;
use nats_config::{header, subject};
use schemas::Micros;
use schemas::envelope::Trust;

use super::{Check, Examination, has_identity, look};
use crate::clock;
use crate::config::Config;
use crate::follow::ledger::{self, LedgerError};

/// FORGE's heartbeat comes every ten seconds, unless somebody says otherwise.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What clocks may differ by before words of FORGE count as late, and what is worth a word.
const TOO_FAR: Micros = 60_000_000;
const FAR: Micros = 5_000_000;

const SEE_FORGE: &str = "see that FORGE runs and is connected to this broker; agents serve and follow without it, and say that they are stale";

/// `agent`: one runs with this cache; then FORGE is not met in its name.
pub(super) async fn examine(config: &Config, client: &Client, agent: bool, all: &mut Examination<'_>) {
    let offset = if !agent && has_identity(config) {
        enrol(config, client, all).await
    } else {
        hear(config, client, all).await
    };
    all.note(match offset {
        None => Check::skipped("clock", "FORGE is not heard"),
        Some(offset) => clocks(offset),
    });
}

/// Meets FORGE as the agent of this cache does. Gives FORGE's clock minus this one.
async fn enrol(config: &Config, client: &Client, all: &mut Examination<'_>) -> Option<Micros> {
    const NAME: &str = "FORGE";
    let config = config.clone();
    let core = match tokio::task::spawn_blocking(move || look(config)).await {
        Ok(Ok(core)) => core,
        Ok(Err(why)) => {
            all.note(Check::skipped(NAME, &why));
            return None;
        }
        Err(_) => return None,
    };
    let asked = clock::now();
    let answer = ledger::enrol(&core, client).await;
    let middle = asked + (clock::now() - asked) / 2;
    match answer {
        Ok(consumer) => {
            let room = consumer.map_or("; there is no room for a consumer of its own", |_| "");
            all.note(Check::ok(NAME, format!("it answers {}, signed{room}", core.name)));
            Some(core.state().word.saved().issued - middle)
        }
        Err(LedgerError::Refused { code, message }) => {
            let found = format!("it refuses {} ({code}): {message}", core.name);
            all.note(Check::failed(
                NAME,
                found,
                "give this agent another --name, or forget the old one in FORGE",
            ));
            None
        }
        Err(error @ LedgerError::Forged(_)) => {
            let advice = "do not trust this broker: take a new connect string from FORGE itself";
            all.note(Check::failed(NAME, super::chain(error), advice));
            None
        }
        Err(error) => {
            all.note(Check::failed(NAME, super::chain(error), SEE_FORGE));
            None
        }
    }
}

/// Waits for FORGE's heartbeat. Gives FORGE's clock minus this one.
async fn hear(config: &Config, client: &Client, all: &mut Examination<'_>) -> Option<Micros> {
    const NAME: &str = "FORGE";
    let scope = &config.connection.scope;
    let trust = Trust::new(config.connection.roots.clone(), scope.clone());
    let next = async {
        let mut heard = client.subscribe(subject::heartbeat(scope)).await.ok()?;
        heard.next().await
    };
    all.wait("FORGE's heartbeat", HEARTBEAT);
    let Ok(Some(message)) = tokio::time::timeout(HEARTBEAT, next).await else {
        let found = format!("no heartbeat came in {} s", HEARTBEAT.as_secs());
        all.note(Check::failed(NAME, found, SEE_FORGE));
        return None;
    };
    let now = clock::now();
    let text = |name| message.headers.as_ref().and_then(|h| h.get(name)).map(|value| value.as_str());
    // A list that does not follow from the connect file shows in the signature.
    let _ = text(header::TRUST).map(|chain| trust.advance(chain));
    let payload = std::str::from_utf8(&message.payload).unwrap_or("");
    match trust.verify_heartbeat(text(header::KEY).unwrap_or_default(), payload, now) {
        Ok((heartbeat, _)) => {
            all.note(Check::ok(NAME, "its signed heartbeat is heard"));
            Some(heartbeat.issued - now)
        }
        Err(error) => {
            let advice = "do not trust this broker: take a new connect string from FORGE itself";
            all.note(Check::failed(NAME, format!("its heartbeat is not believed: {error}"), advice));
            None
        }
    }
}

fn clocks(offset: Micros) -> Check {
    const NAME: &str = "clock";
    let found =
        format!("FORGE's is {} ms {}", offset.abs() / 1000, if offset < 0 { "behind" } else { "ahead" });
    let advice = "set this machine's clock by a time server (chrony, systemd-timesyncd), or FORGE's";
    match offset.abs() {
        TOO_FAR.. => Check::failed(NAME, format!("{found}: its words count as late"), advice),
        FAR.. => Check::warning(NAME, found, advice),
        _ => Check::ok(NAME, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn clocks_that_differ_are_told_by_how_much() {
        for (offset, verdict) in [
            (3_000, Verdict::Ok),
            (-4_999_999, Verdict::Ok),
            (5_000_000, Verdict::Warning),
            (-59_000_000, Verdict::Warning),
            (61_000_000, Verdict::Failed),
            (-3_600_000_000, Verdict::Failed),
        ] {
            let check = clocks(offset);
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert!(check.found.contains(&format!("{} ms", offset.abs() / 1000)), "{check:?}");
        }
    }
}
