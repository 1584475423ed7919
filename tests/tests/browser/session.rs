//! A browser whose person is signed in at a FORGE of its own.

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::browser::Browser;
use tests::forge::{Database, Forge, ORGANISATION, OWNER, PASSWORD, Place};

/// What a test looks at.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) forge: Forge,
    pub(crate) browser: Browser,
}

impl Session {
    /// Starts both; nobody is signed in.
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, with options of FORGE by their variables.
    pub(crate) async fn start_with(options: &[(&str, &str)]) -> Result<Self> {
        let mut place = Place::new(Database::Sqlite)?;
        // Whoever says nothing for three of these counts as away; most pages say who is there once, when they are made.
        place.set("FORGE_STATUS_MS", "10000");
        for (variable, value) in options {
            place.set(variable, value);
        }
        Ok(Self { forge: Forge::begin(place).await?, browser: Browser::start().await? })
    }

    /// The address of a page.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.forge.url())
    }

    /// Goes to a page.
    pub(crate) async fn open(&self, path: &str) -> Result<()> {
        self.browser.open(&self.at(path)).await
    }

    /// Holds back every answer of FORGE, or lets them go on. The page that is open waits however long that takes: by
    /// itself it would give up after a while, and a test may look at it for longer.
    pub(crate) async fn hold(&self, on: bool) -> Result<()> {
        if on {
            self.browser.run("AbortSignal.timeout = () => new AbortController().signal").await?;
        }
        let pid = self.forge.process.pid().context("FORGE runs")?;
        let signal = if on { Signal::SIGSTOP } else { Signal::SIGCONT };
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
    }

    /// Waits until the draft that is open is stored with all that was typed, as a later revision than this one. A draft
    /// saves itself, too: that there is a later revision does not say that everything is in it.
    pub(crate) async fn saved_after(&self, revision: i64) {
        let stored = format!(
            "const asks = new Event('beforeunload', {{ cancelable: true }});
             dispatchEvent(asks);
             return +document.querySelector('#revision').value > {revision}
               && !document.querySelector('#save').hasAttribute('aria-busy') && !asks.defaultPrevented"
        );
        self.browser.holds("it is saved", &stored).await;
    }

    /// Signs in by hand.
    pub(crate) async fn sign_in(&self) -> Result<()> {
        self.open("/").await?;
        self.browser.wait_url("/-/sign-in").await;
        self.browser.fill("#email", OWNER).await?;
        self.browser.fill("#password", PASSWORD).await?;
        self.browser.click("button[type=submit]").await;
        self.browser.wait_url(&format!("/{ORGANISATION}")).await;
        Ok(())
    }

    /// Makes the project `shop`, the set `chat` and the prompt `welcome.message`, by hand.
    pub(crate) async fn make_prompt(&self) -> Result<()> {
        let browser = &self.browser;
        browser.click("a[href='/acme/-/new']").await;
        browser.fill("#name", "Shop").await?;
        browser.click("form[action='/acme/-/new'] button").await;
        browser.wait_url("/acme/shop").await;
        browser.click("a[href='/acme/shop/-/new']").await;
        browser.fill("#name", "Chat").await?;
        browser.click("form[action='/acme/shop/-/new'] button").await;
        browser.wait_url("/acme/shop/chat").await;
        browser.click("a.btn[href='/acme/shop/chat/-/new']").await;
        browser.fill("#id", "welcome.message").await?;
        browser.click("form[action='/acme/shop/chat/-/new'] button").await;
        browser.wait_url("/chat/welcome.message").await;
        Ok(())
    }
}
