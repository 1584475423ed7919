//! Access taken away: from whoever is connected, over restarts, and when the broker is told otherwise.

use anyhow::{Context as _, Result};
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions};
use nats_config::{account, subject, system};
use publisher::jwt;
use publisher::keys::{Key, Kind};
use reqwest::Method;
use serde_json::{Value, json};
use tests::forge::api::{Api, Credential};
use tests::forge::{Database, Forge, ORGANISATION};
use tests::until::{secs, until, within};

tests::on_both!(
    a_revoked_credential_is_cut_off_and_stays_out_over_kills_of_broker_and_forge,
    the_list_says_who_used_a_credential_last_and_from_where,
);

async fn connect(credential: &Credential, name: &str) -> Result<Client> {
    let server = credential.connection["servers"][0].as_str().context("a server")?;
    let options = ConnectOptions::with_credentials(&credential.creds)?;
    let options = options.name(format!("live {name}")).connection_timeout(secs(20));
    Ok(options.custom_inbox_prefix(subject::inbox(&credential.public_key)).connect(server).await?)
}

async fn revoke(owner: &Api, credential: &Credential) -> Result<Value> {
    let path = format!("{}/credentials/{}", owner.project(), credential.id);
    owner.send(Method::DELETE, &path, &[], None).await?.ok()
}

/// That it is refused, and not that nobody is there: whoever gets no answer asks again.
async fn is_refused(credential: &Credential) -> bool {
    until("the broker says whether it is let in", secs(60), async || {
        match connect(credential, "refused").await {
            Err(error) => error.to_string().contains("authorization violation").then_some(true),
            Ok(_) => Some(false),
        }
    })
    .await
}

async fn a_revoked_credential_is_cut_off_and_stays_out_over_kills_of_broker_and_forge(
    database: Database,
) -> Result<()> {
    let mut forge = Forge::with_broker(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let (gone, kept) = (owner.credential("prod", "gone").await?, owner.credential("prod", "kept").await?);
    let clients = until("both are let in", secs(60), async || {
        Some([connect(&gone, "one").await.ok()?, connect(&gone, "two").await.ok()?])
    })
    .await;
    let other = until("the other one is", secs(60), async || connect(&kept, "other").await.ok()).await;

    assert_eq!(revoke(&owner, &gone).await?["broker_knows"], true);
    // They were, before FORGE said that the broker knows; the clients notice it at once.
    until("its connections are gone", secs(20), async || {
        clients.iter().all(|c| c.connection_state() != State::Connected).then_some(())
    })
    .await;
    assert!(is_refused(&gone).await, "it may come back");
    assert_eq!(other.connection_state(), State::Connected, "another credential was cut off");

    forge.place.broker().restart().await?;
    until("the broker refuses it after a power cut", secs(60), async || {
        is_refused(&gone).await.then_some(())
    })
    .await;
    until("and takes the other one", secs(60), async || connect(&kept, "other").await.ok()).await;
    forge.process.kill9().await;
    assert!(is_refused(&gone).await, "it may come back while FORGE is away");
    forge.start_again().await?;
    forge.process.has_its_broker().await?;
    assert!(is_refused(&gone).await, "it may come back after FORGE was killed");
    // With an empty broker too, which FORGE fills again.
    forge.place.broker().wipe().await?;
    forge.place.broker().restart().await?;
    until("the other one is let in by the new broker", secs(60), async || connect(&kept, "other").await.ok())
        .await;
    assert!(is_refused(&gone).await, "an empty broker forgave it");
    Ok(())
}

async fn the_list_says_who_used_a_credential_last_and_from_where(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let path = format!("{}/credentials", owner.project());
    let request = json!({
        "environment": "prod", "name": "shop", "purpose": "The shop's checkout; ask Ada.",
        "expires_at": "never",
    });
    let made = owner.post(&path, &request).await?.ok()?;
    assert_eq!(made["expires_at"], Value::Null, "never was asked for by name: {made}");
    assert_eq!(made["purpose"], "The shop's checkout; ask Ada.");
    let listed = async |name: &str| -> Option<Value> {
        let all = owner.get(&path).await.ok()?.ok().ok()?;
        all["items"].as_array()?.iter().find(|c| c["name"] == name).cloned()
    };
    let never = listed("shop").await.context("it is listed")?;
    assert_eq!((&never["last_seen_at"], &never["state"]), (&Value::Null, &json!("active")));

    let used = owner.credential("prod", "used").await?;
    let standing = listed("used").await.context("it is listed")?;
    let ends = standing["expires_at"].as_str().context("it ends where nobody says when")?;
    assert!(ends > standing["created_at"].as_str().context("a time")?, "{standing}");
    let _client = until("it is let in", secs(60), async || connect(&used, "checkout-7").await.ok()).await;
    let seen = until("its use is listed", secs(60), async || {
        listed("used").await.filter(|c| c["last_seen_agent"] == "checkout-7")
    })
    .await;
    assert_eq!(seen["last_seen_address"], "127.0.0.1", "{seen}");
    assert!(seen["last_seen_at"].is_string(), "{seen}");
    let soon = json!({"environment": "prod", "name": "soon", "expires_at": soon_text()});
    assert_eq!(owner.post(&path, &soon).await?.ok()?["state"], "expires_soon");
    revoke(&owner, &used).await?;
    assert_eq!(listed("used").await.context("it stays listed")?["state"], "revoked");
    Ok(())
}

/// A day far enough for this test and near enough to be soon.
fn soon_text() -> String {
    let at = tests::nats::now() / 1_000_000 + 3 * 86_400;
    let days = at.div_euclid(86_400);
    // Days since 1970 as a civil date (Howard Hinnant's algorithm).
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T00:00:00Z")
}

/// The account of a user's token.
fn account_of(token: &str) -> Result<String> {
    use base64::Engine as _;
    let body = token.split('.').nth(1).context("a token of three parts")?;
    let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body)?;
    let claims: Value = serde_json::from_slice(&body)?;
    Ok(claims["nats"]["issuer_account"].as_str().context("an account")?.to_owned())
}

/// Somebody who got hold of the broker's system account: signs in to it.
async fn intruder(forge: &Forge, server: &str) -> Result<Client> {
    let seed = crate::secrets::unseal(forge, "installation/system-account").await?;
    let account_key = Key::from_seed(&seed, Kind::Account, "system-account")?;
    let user = Key::generate(Kind::User);
    let claims = jwt::Claims {
        jti: String::new(),
        iat: tests::nats::now() / 1_000_000,
        exp: None,
        iss: account_key.public().to_owned(),
        name: "intruder".into(),
        sub: user.public().to_owned(),
        nats: json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}),
    };
    let creds = jwt::credentials_file(&jwt::mint(&account_key, claims)?, &user);
    let options = ConnectOptions::with_credentials(&creds)?.request_timeout(Some(secs(30)));
    Ok(options.connect(server).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_account_token_pushed_again_is_undone_at_once() -> Result<()> {
    let mut forge = Forge::with_broker(Database::Sqlite).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    let gone = owner.credential("prod", "gone").await?;
    // Its client tries again by itself, all the time.
    let persistent = until("it is let in", secs(60), async || connect(&gone, "before").await.ok()).await;
    let server = forge.place.broker().url();
    let intruder = intruder(&forge, &server).await?;
    let (token, _) = jwt::read_credentials(&gone.creds)?;
    let account_key = account_of(&token)?;
    let lookup = system::claims_lookup(&account_key);
    let older = intruder.request(lookup.clone(), "".into()).await?.payload;
    assert!(!older.is_empty());
    revoke(&owner, &gone).await?;
    assert!(is_refused(&gone).await);

    // Without FORGE the attack works: the token is good, and the last writer wins.
    let ways = [
        system::CLAIMS_UPDATE.to_owned(),
        system::ALL_ACCOUNT_UPDATES.replace('*', &account_key),
        system::ALL_ACCOUNT_UPDATES_OLD.replace('*', &account_key),
    ];
    forge.process.kill9().await;
    for way in &ways {
        intruder.publish(way.clone(), older.clone()).await?;
        intruder.flush().await?;
    }
    let smuggled = "the older token lets it in";
    until(smuggled, secs(60), async || connect(&gone, "smuggled").await.ok()).await;
    until("its own client is back too", secs(60), async || {
        (persistent.connection_state() == State::Connected).then_some(())
    })
    .await;
    // It is undone when FORGE is back.
    forge.start_again().await?;
    forge.process.has_its_broker().await?;
    until("FORGE has put its word back", secs(60), async || {
        let out = persistent.connection_state() != State::Connected;
        (out && is_refused(&gone).await).then_some(())
    })
    .await;

    // With FORGE it is undone at once, whichever way it is pushed, and however often.
    let current = intruder.request(lookup.clone(), "".into()).await?.payload;
    assert_ne!(current, older);
    for way in ways.iter().chain(&ways) {
        intruder.publish(way.clone(), older.clone()).await?;
        intruder.flush().await?;
        until(&format!("a push to {way} is undone"), secs(60), async || {
            let found = intruder.request(lookup.clone(), "".into()).await.ok()?.payload;
            let out = persistent.connection_state() != State::Connected;
            (found != older && out && is_refused(&gone).await).then_some(())
        })
        .await;
    }
    let back = within(secs(2), async || connect(&gone, "again").await.ok()).await;
    assert!(back.is_none(), "it was let in later");
    // It was FORGE that undid each, and it says so: of the last one perhaps a moment after the broker had its word.
    let log = forge.directory().join("forge-0.log");
    until("FORGE says that it undid each push", secs(60), async || {
        let log = std::fs::read_to_string(&log).ok()?;
        (log.matches("it is put back").count() >= 2 * ways.len()).then_some(())
    })
    .await;
    // Somebody else's account is not FORGE's business, and FORGE does not fight itself.
    let quiet = intruder.subscribe(system::CLAIMS_UPDATE).await?;
    intruder.flush().await?;
    let pushed = tokio::time::timeout(secs(2), futures::StreamExt::into_future(quiet)).await;
    assert!(pushed.is_err(), "FORGE pushes accounts although nothing changed");
    assert_eq!(account::SYSTEM, "SYS");
    Ok(())
}
