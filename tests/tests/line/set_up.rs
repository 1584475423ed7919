//! The first start: nobody is there, and there is no default password.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::forge::{Database, PASSWORD, Place};
use tests::until::{secs, until};

tests::on_both!(a_new_forge_prints_a_link_by_which_the_first_user_is_made);

/// The link in a log.
fn find(log: &str) -> Option<&str> {
    let line = log.lines().find(|line| line.contains("/-/set-up/"))?;
    line.split_whitespace().find(|word| word.contains("/-/set-up/"))
}

async fn a_new_forge_prints_a_link_by_which_the_first_user_is_made(database: Database) -> Result<()> {
    let place = Place::new(database)?;
    let mut forge = place.spawn(0)?;
    forge.ready(&place).await?;
    let log = async |number| std::fs::read_to_string(place.directory().join(format!("forge-{number}.log")));
    let link = until("forge prints the link", secs(20), async || {
        log(0).await.ok().as_deref().and_then(find).map(str::to_owned)
    })
    .await;
    ensure!(link.starts_with(&forge.url()), "{link}");

    let browser = reqwest::Client::builder().cookie_store(true).build()?;
    let guess = browser.get(format!("{}/-/set-up/guess", forge.url())).send().await?;
    assert_eq!(guess.status(), 404);
    assert_eq!(browser.get(&link).send().await?.status(), 200);
    let form =
        [("name", "Mara"), ("email", "mara@acme.test"), ("password", PASSWORD), ("organisation", "Acme")];
    let made = browser.post(&link).form(&form).send().await?;
    assert_eq!((made.status().as_u16(), made.url().path()), (200, "/acme"));
    let me: Value = browser.get(format!("{}/api/v1/me", forge.url())).send().await?.json().await?;
    assert_eq!(me["email"], "mara@acme.test");
    assert_eq!(reqwest::get(&link).await?.status(), 404, "the link worked once");

    forge.stop().await?;
    let mut again = place.spawn(1)?;
    again.ready(&place).await?;
    again.has_its_broker().await?;
    again.stop().await?;
    let second = log(1).await.context("the second log")?;
    ensure!(second.contains("forge serves") && find(&second).is_none(), "{second}");
    let checked = place.run(&["audit", "verify"]).await?;
    ensure!(checked.contains("installation: whole") && checked.contains("acme: whole"), "{checked}");
    Ok(())
}
