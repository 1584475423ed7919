//! The first start: nobody is there, and there is no default password.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::forge::{Database, Forge, ORGANISATION, OWNER, PASSWORD, Place};
use tests::until::{secs, until};

tests::on_both!(
    a_new_forge_prints_a_link_by_which_the_first_user_is_made,
    a_token_of_the_console_reaches_the_projects_it_was_made_for
);

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
    let link = until("forge prints the link", secs(60), async || {
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

async fn a_token_of_the_console_reaches_the_projects_it_was_made_for(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    let projects = format!("/api/v1/organisations/{ORGANISATION}/projects");
    for slug in ["one", "two"] {
        owner.post(&projects, &json!({ "slug": slug })).await?.ok()?;
    }
    let make = async |more: &[&str]| {
        let user = ["user", "token", OWNER, "--organisation", ORGANISATION];
        forge.place.run(&[user.as_slice(), more].concat()).await
    };
    let reached = async |token: String| -> Result<Vec<String>> {
        let url = format!("{}{projects}", forge.url());
        let asked = reqwest::Client::new().get(url).bearer_auth(token.trim()).send().await?;
        let list: Value = asked.error_for_status()?.json().await?;
        let slugs = list["items"].as_array().context("a list")?.iter().filter_map(|p| p["slug"].as_str());
        Ok(slugs.map(str::to_owned).collect())
    };
    assert_eq!(reached(make(&[]).await?).await?, ["one", "two"]);
    assert_eq!(reached(make(&["--project", "two"]).await?).await?, ["two"]);
    assert_eq!(reached(make(&["--project", "two", "--project", "one"]).await?).await?, ["one", "two"]);
    let refused = make(&["--project", "three"]).await.unwrap_err().to_string();
    ensure!(refused.contains("three"), "{refused}");
    Ok(())
}
