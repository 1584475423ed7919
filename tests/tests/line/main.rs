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
use tests::forge::api::{Api, Credential};
use tests::forge::live::Live;
use tests::forge::{Forge, ORGANISATION};

/// The project, a credential for `prod`, and `checkout-1`, which prints `welcome.message` from then on.
async fn checkout(forge: &mut Forge) -> Result<(Api, Credential, Live)> {
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let credential = owner.credential("prod", "checkout").await?;
    let live = Live::start(forge.directory(), &credential, "checkout-1", "welcome.message")?;
    Ok((owner, credential, live))
}
