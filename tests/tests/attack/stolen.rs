//! A thief with a copy of the database and its master key, who runs a FORGE of its own on the same broker: every key
//! is its own, and it leaps ahead of all serials. Revoking the publishing key is enough to overcome it.

use anyhow::{Context as _, Result};
use async_nats::ConnectOptions;
use futures::StreamExt as _;
use nats_config::{header, subject};
use schemas::Scope;
use schemas::envelope::Trust;
use tests::forge::api::{Api, Credential};
use tests::forge::live::Live;
use tests::forge::{Database, Forge};
use tests::until::{secs, until};

tests::on_both!(
    a_leap_by_a_stolen_key_is_overcome_by_its_revocation,
    a_leap_that_forge_hears_of_is_not_learned,
    what_a_revoked_key_signs_above_all_is_published_over,
);

/// Serials that the thief skips: more than FORGE learns.
const LEAP: i64 = 2_000_001;

struct Robbed {
    forge: Forge,
    owner: Api,
    live: Live,
    credential: Credential,
}

/// An agent serves 1.0.0; the copy `stolen` was taken then. No FORGE runs.
async fn robbed(database: Database) -> Result<Robbed> {
    let mut forge = Forge::with_broker(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(tests::forge::ORGANISATION).await?;
    let credential = owner.credential("prod", "checkout").await?;
    let live = Live::start(forge.directory(), &credential, "checkout-1", "welcome.message")?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    live.prints("Hello Ada", secs(60)).await;
    forge.process.stop().await?;
    forge.place.keep("stolen")?;
    Ok(Robbed { forge, owner, live, credential })
}

impl Robbed {
    /// The thief publishes from its copy, far above; then the honest database is in its place again. No FORGE runs.
    async fn leap(&mut self) -> Result<()> {
        let place = &self.forge.place;
        place.keep("honest")?;
        place.put_back("stolen")?;
        for skip in ["1000000", "1000000"] {
            place.run(&["restored", "--skip", skip]).await?;
        }
        self.start().await?;
        let made = self.owner.release("6.6.6", "Evil {{ name }}").await?;
        assert_eq!(made["serial"], LEAP + 1, "{made}");
        self.is("2", "sent").await;
        self.forge.process.stop().await?;
        self.forge.place.put_back("honest")
    }

    async fn start(&mut self) -> Result<()> {
        self.forge.start_again().await?;
        self.forge.process.has_its_broker().await
    }

    /// Waits until a publication, by its number, is in this state.
    async fn is(&self, number: &str, state: &str) {
        until(&format!("publication {number} is {state}"), secs(60), async || {
            let path = format!("{}/publications/{number}", self.owner.project());
            let found = self.owner.get(&path).await.ok()?.ok().ok()?;
            (found["state"] == state).then_some(())
        })
        .await;
    }

    /// Revokes the key that signs for the project.
    async fn revoke(&self) -> Result<String> {
        let keys = self.forge.place.run(&["keys", "list", "--project", &self.owner.path()]).await?;
        let key = keys.split_whitespace().next().context("a key")?.to_owned();
        self.forge.place.run(&["keys", "revoke", &key, "--reason", "a backup was stolen"]).await
    }

    /// What FORGE announces of `chat` in its next heartbeat.
    async fn announced(&self) -> Result<Option<u64>> {
        let server = self.credential.connection["servers"][0].as_str().context("a server")?;
        let inbox = subject::inbox(&self.credential.public_key);
        let options = ConnectOptions::with_credentials(&self.credential.creds)?.custom_inbox_prefix(inbox);
        let client = options.connection_timeout(secs(60)).connect(server).await?;
        let scope: Scope = serde_json::from_value(self.credential.connection["scope"].clone())?;
        let roots = serde_json::from_value(self.credential.connection["roots"].clone())?;
        let mut words = client.subscribe(subject::heartbeat(&scope)).await?;
        let word = tokio::time::timeout(secs(60), words.next()).await?.context("a heartbeat")?;
        let key = word.headers.as_ref().and_then(|h| h.get(header::KEY)).context("its key")?;
        let trust = Trust::new(roots, scope);
        let (word, _) =
            trust.verify_heartbeat(key.as_str(), std::str::from_utf8(&word.payload)?, tests::nats::now())?;
        Ok(word.heads.iter().find(|head| head.set.as_str() == "chat").map(|head| head.serial))
    }

    /// An agent that comes with nothing serves this.
    async fn a_new_agent_prints(&self, text: &str) -> Result<()> {
        let credential = self.owner.credential("prod", "newcomer").await?;
        let young = Live::start(self.forge.directory(), &credential, "newcomer", "welcome.message")?;
        young.prints(text, secs(60)).await;
        Ok(())
    }
}

async fn a_leap_by_a_stolen_key_is_overcome_by_its_revocation(database: Database) -> Result<()> {
    let mut all = robbed(database).await?;
    all.leap().await?;
    all.live.prints("Evil Ada", secs(60)).await;
    all.live.kill9().await;
    // FORGE has not heard of it: nothing that it knows is above its own serials.
    let said = all.revoke().await?;
    assert!(said.contains("chat@1.0.0 in prod, serial 2"), "{said}");
    all.start().await?;
    all.is("2", "sent").await;
    all.live.start_again()?;
    all.live.prints("Hello Ada", secs(60)).await;
    all.owner.release("1.0.1", "Second {{ name }}").await?;
    all.live.prints("Second Ada", secs(60)).await;
    all.a_new_agent_prints("Second Ada").await
}

async fn a_leap_that_forge_hears_of_is_not_learned(database: Database) -> Result<()> {
    let mut all = robbed(database).await?;
    all.leap().await?;
    all.live.prints("Evil Ada", secs(60)).await;
    all.start().await?;
    until("FORGE refuses what the agent shows", secs(60), async || {
        let log = all.owner.get("/api/v1/organisations/acme/audit").await.ok()?.ok().ok()?.to_string();
        assert!(!log.contains("serial.raised"), "{log}");
        log.contains("serial.refused").then_some(())
    })
    .await;
    let made = all.owner.release("1.0.1", "Second {{ name }}").await?;
    assert_eq!(made["serial"], 2, "{made}");
    all.is("2", "superseded").await;
    let shown = all.owner.publication(2).await?.to_string();
    assert!(shown.contains("forge keys revoke"), "{shown}");
    // What agents may have is still announced, so that nobody takes less.
    assert_eq!(all.announced().await?, Some(1));
    all.revoke().await?;
    all.live.prints("Second Ada", secs(60)).await;
    all.a_new_agent_prints("Second Ada").await
}

async fn what_a_revoked_key_signs_above_all_is_published_over(database: Database) -> Result<()> {
    let mut all = robbed(database).await?;
    all.start().await?;
    all.revoke().await?;
    all.is("2", "sent").await;
    until("the agent follows", secs(60), async || {
        let agents = all.owner.get(&format!("{}/agents", all.owner.project())).await.ok()?.ok().ok()?;
        (agents["items"][0]["status"]["sets"][0]["active"]["serial"] == 2).then_some(())
    })
    .await;
    all.forge.process.stop().await?;
    all.leap().await?;
    // Whoever comes new would find nothing but the thief's; FORGE looks at each connection.
    all.start().await?;
    all.is("3", "sent").await;
    all.a_new_agent_prints("Hello Ada").await?;
    assert!(!all.live.texts().iter().any(|text| text.contains("Evil")), "{:?}", all.live.texts());
    Ok(())
}
