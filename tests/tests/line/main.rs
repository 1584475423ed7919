//! The whole line, author to rendered prompt, by real processes on both databases; and what bad luck does to it.

mod access;
mod bundle;
mod contract;
mod folder;
mod fuzz;
mod hooks;
mod kill;
mod orders;
mod outage;
mod refusal;
mod retry;
mod secrets;
mod set_up;
mod tls;
mod usage;
mod whole;

use anyhow::Result;
use schemas::contract::Contract;
use schemas::status::EnrolAnswer;
use tests::forge::api::{Api, Credential};
use tests::forge::live::Live;
use tests::forge::raw::Raw;
use tests::forge::{Forge, ORGANISATION};
use tests::until::{secs, until};

/// The project, a credential for `prod`, and `checkout-1`, which prints `welcome.message` from then on.
async fn checkout(forge: &mut Forge) -> Result<(Api, Credential, Live)> {
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let credential = owner.credential("prod", "checkout").await?;
    let live = Live::start(forge.directory(), &credential, "checkout-1", "welcome.message")?;
    Ok((owner, credential, live))
}

/// An agent by hand, once the broker lets it in: the account of a new project comes to the broker after the answer that
/// it was made.
async fn let_in(credential: &Credential, name: &str, service: &str) -> Raw {
    until(&format!("{name} is let in"), secs(60), async || Raw::connect(credential, name, service).await.ok())
        .await
}

/// FORGE's answer to an enrolment. Who is not answered, or told to ask again, asks again, as every agent does.
async fn enrol(agent: &Raw, contracts: &[Contract]) -> EnrolAnswer {
    until("FORGE answers an enrolment", secs(60), async || match agent.enrol(contracts).await.ok()? {
        EnrolAnswer::Refused { code, .. } if code == EnrolAnswer::UNAVAILABLE => None,
        answer => Some(answer),
    })
    .await
}

/// A publication, once the broker has it: agents may have answered before FORGE noted that.
async fn is_sent(owner: &Api, number: i64) -> serde_json::Value {
    until(&format!("publication {number} is sent"), secs(60), async || {
        owner.publication(number).await.ok().filter(|found| found["state"] == "sent")
    })
    .await
}
