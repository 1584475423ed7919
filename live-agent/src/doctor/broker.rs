//! Whether the broker lets the credential in, and what it may do there.

use std::time::Duration;

use async_nats::Client;
use async_nats::client::RequestErrorKind;
use nats_config::subject;
use schemas::{Scope, Slug};

use super::{Check, Examination, Verdict, forge};
use crate::client::{self, NotMade};
use crate::config::Config;

const ANSWER: Duration = Duration::from_secs(5);
/// The broker says nothing to whoever may not ask.
const SILENCE: Duration = Duration::from_millis(1500);

/// Gives the broker's version. `agent`: one runs with this cache.
pub(super) async fn examine(config: &Config, agent: bool, all: &mut Examination<'_>) -> Option<String> {
    let session = match client::try_once(&config.entry(), "doctor").await {
        Ok(session) => session,
        Err(error) => {
            all.note(not_made(error));
            all.skip(&["permissions", "FORGE", "clock"], "the broker does not let in");
            return None;
        }
    };
    let info = session.client.server_info();
    all.note(Check::ok("broker", format!("{} lets this credential in", info.server_name)));
    let permissions = permissions(&session.client, &config.connection.scope).await;
    let may = permissions.verdict == Verdict::Ok;
    all.note(permissions);
    if may {
        forge::examine(config, &session.client, agent, all).await;
    } else {
        all.skip(&["FORGE", "clock"], "this credential may not do what an agent does");
    }
    session.retire().await;
    Some(info.version)
}

fn not_made(error: NotMade) -> Check {
    const NAME: &str = "broker";
    match error {
        NotMade::Refused(why) => {
            Check::failed(NAME, why, "make another credential in FORGE, and run \"live connect\" with it")
        }
        NotMade::Unreachable(why) => Check::failed(NAME, why, "see names, ports and TLS above"),
        NotMade::Unusable(why) => Check::failed(NAME, why, "run \"live connect\" with a new connect string"),
    }
}

async fn permissions(client: &Client, scope: &Scope) -> Check {
    const NAME: &str = "permissions";
    match get(client, scope, ANSWER).await {
        Ok(()) => {}
        Err(RequestErrorKind::NoResponders) => {
            let found = "the streams of this environment are not up";
            return Check::failed(
                NAME,
                found,
                "see that FORGE runs: it makes them; \"forge republish\" fills them",
            );
        }
        Err(_) => {
            let found = format!("the credential may not read {scope}");
            return Check::failed(NAME, found, "make an agent's credential for this environment in FORGE");
        }
    }
    // What is not in the table of access is refused: silence.
    let Ok(nobody) = Slug::new("doctor-asks-for-nothing") else {
        return Check::ok(NAME, "its own stream answers");
    };
    let other = Scope { environment: nobody, ..scope.clone() };
    match get(client, &other, SILENCE).await {
        Err(RequestErrorKind::TimedOut) => {
            Check::ok(NAME, "its own stream answers, another environment's does not")
        }
        _ => Check::failed(
            NAME,
            "the broker lets it ask for other environments too",
            "this is no agent's credential: revoke it, and make an agent's",
        ),
    }
}

/// Asks the stream of a scope for something that is not there.
async fn get(client: &Client, scope: &Scope, patience: Duration) -> Result<(), RequestErrorKind> {
    let question =
        async_nats::Request::new().payload(r#"{"last_by_subj":"nothing"}"#.into()).timeout(Some(patience));
    client.send_request(subject::direct_get(scope), question).await.map(drop).map_err(|error| error.kind())
}
