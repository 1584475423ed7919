//! A real Chromium, driven by `chromedriver` (the WebDriver protocol).
//!
//! The browser has its own empty profile and dies with its owner. What it says on its console is
//! kept, so that a test can hold that there is nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::forge::free_port;
use crate::until::{secs, until, within};

/// How long an element may take to come.
const PATIENCE: Duration = secs(60);
/// How long a script of a test may run, in milliseconds: axe looks at each element of a page, and one of them describes
/// the whole API.
const SCRIPT_MS: u64 = 300_000;
/// What the driver says before it has done anything: the element was replaced, or is not ready yet.
const EARLY: &[&str] =
    &["stale element reference", "no such element", "element not interactable", "invalid element state"];
/// The key of an element in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",
];

/// A browser window.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    session: String,
    driver: Child,
    _profile: TempDir,
}

/// An element of a page.
#[derive(Debug, Clone)]
pub struct Element(String);

impl Drop for Browser {
    fn drop(&mut self) {
        // Without its driver the browser itself would stay.
        let _ = self.quit();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// Ends the session and with it the browser, waiting for it: this runs while a test unwinds.
    fn quit(&self) -> std::io::Result<()> {
        let (host, path) = self.session.trim_start_matches("http://").split_once('/').unwrap_or_default();
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "DELETE /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
        stream.read(&mut [0; 64]).map(drop)
    }
}

/// Where a program is on the PATH.
fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    names.iter().find_map(|name| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file()))
}

impl Browser {
    /// Starts a browser, or says why there is none to start.
    ///
    /// # Errors
    /// Chromium or its driver is not installed (`scripts/ensure-tools` does), or does not start.
    pub async fn start() -> Result<Self> {
        let chromium = on_path(&["chromium", "chromium-browser", "google-chrome"])
            .context("chromium is not installed: run scripts/ensure-tools")?;
        let driver =
            on_path(&["chromedriver"]).context("chromedriver is not installed: run scripts/ensure-tools")?;
        let profile = tempfile::tempdir()?;
        let folder = profile.path().join("profile");
        // Left to choose, the driver takes a free port of IPv6 and ends where that one is taken on IPv4.
        let port = free_port()?;
        let driver = Command::new(driver)
            .arg(format!("--port={port}"))
            .env("TMPDIR", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let root = format!("http://127.0.0.1:{port}/session");
        let http = reqwest::Client::builder().timeout(secs(330)).build()?;
        // From here on the driver ends with its owner, whatever fails.
        let mut browser = Self { session: root.clone(), http, driver, _profile: profile };
        ready(&mut browser.driver)?;
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(ToString::to_string).collect();
        arguments.push(format!("--user-data-dir={}", folder.display()));
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": SCRIPT_MS },
        }}});
        let made = answer(browser.http.post(&root).json(&capabilities).send().await?).await?;
        let id = made["sessionId"].as_str().context("the driver gave no session")?;
        browser.session = format!("{root}/{id}");
        browser.size(1280, 900).await?;
        Ok(browser)
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        answer(self.http.post(format!("{}/{path}", self.session)).json(&body).send().await?).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        answer(self.http.get(format!("{}/{path}", self.session)).send().await?).await
    }

    /// A command of the DevTools protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.post("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// Goes to an address and waits until it has loaded.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.post("url", json!({ "url": url })).await.with_context(|| format!("opening {url}")).map(drop)
    }

    /// The address of the page.
    pub async fn url(&self) -> Result<String> {
        Ok(self.get("url").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Sets the size of the page, in CSS pixels.
    pub async fn size(&self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await.map(drop)
    }

    /// What the system prefers: `light` or `dark`.
    pub async fn scheme(&self, scheme: &str) -> Result<()> {
        let media = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]});
        self.devtools("Emulation.setEmulatedMedia", media).await.map(drop)
    }

    /// Switches the scripts of pages on or off, from the next page on.
    pub async fn scripts(&self, on: bool) -> Result<()> {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !on })).await.map(drop)
    }

    async fn find_now(&self, css: &str) -> Option<Element> {
        let found = self.post("element", json!({ "using": "css selector", "value": css })).await.ok()?;
        Some(Element(found[ELEMENT].as_str()?.to_owned()))
    }

    /// The first element of a selector, waited for.
    ///
    /// # Panics
    /// It does not come.
    pub async fn find(&self, css: &str) -> Element {
        until(&format!("the page has {css}"), PATIENCE, async || self.find_now(css).await).await
    }

    /// Whether there is such an element now.
    pub async fn has(&self, css: &str) -> bool {
        self.find_now(css).await.is_some()
    }

    /// Presses what a selector finds, once it can be pressed.
    ///
    /// # Panics
    /// It cannot be pressed.
    pub async fn click(&self, css: &str) {
        until(&format!("{css} can be pressed"), PATIENCE, async || {
            let Element(id) = self.find_now(css).await?;
            self.post(&format!("element/{id}/click"), json!({})).await.ok()
        })
        .await;
    }

    /// Presses what leads to another page, and waits until that is there: for what is waited for next may stand on this
    /// page too.
    ///
    /// # Panics
    /// It cannot be pressed, or no other page comes.
    pub async fn follow(&self, css: &str) {
        let before = self.find("html").await;
        self.click(css).await;
        until(&format!("{css} leads to another page"), PATIENCE, async || {
            self.find_now("html").await.filter(|now| now.0 != before.0)
        })
        .await;
    }

    /// Does something with what a selector finds, once that can be used: what is found may be replaced just then.
    async fn at<T>(&self, css: &str, deed: impl AsyncFn(String) -> Result<T>) -> Result<T> {
        let done = within(PATIENCE, async || {
            let Element(id) = self.find_now(css).await?;
            match deed(id).await {
                Err(error) if EARLY.iter().any(|early| error.to_string().starts_with(*early)) => None,
                done => Some(done),
            }
        });
        done.await.with_context(|| format!("within {PATIENCE:?} nothing could be done with {css}"))?
    }

    /// Empties a field and types into it.
    pub async fn fill(&self, css: &str, text: &str) -> Result<()> {
        self.at(css, async |id: String| {
            self.post(&format!("element/{id}/clear"), json!({})).await?;
            self.post(&format!("element/{id}/value"), json!({ "text": text })).await.map(drop)
        })
        .await
    }

    /// Types at an element as it is, once it takes keys.
    pub async fn keys(&self, css: &str, text: &str) -> Result<()> {
        self.at(css, async |id: String| {
            self.post(&format!("element/{id}/value"), json!({ "text": text })).await.map(drop)
        })
        .await
    }

    /// Chooses an option of a `<select>` by its value.
    pub async fn choose(&self, css: &str, value: &str) {
        self.click(&format!("{css} option[value='{value}']")).await;
    }

    /// The text of an element as it is shown.
    pub async fn text(&self, css: &str) -> Result<String> {
        self.at(css, async |id: String| {
            Ok(self.get(&format!("element/{id}/text")).await?.as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// Waits until an element's text contains `part`, and gives the text.
    ///
    /// # Panics
    /// It never does.
    pub async fn wait_text(&self, css: &str, part: &str) -> String {
        until(&format!("{css} says {part:?}"), PATIENCE, async || {
            let Element(id) = self.find_now(css).await?;
            let text = self.get(&format!("element/{id}/text")).await.ok()?;
            text.as_str().filter(|t| t.contains(part)).map(ToOwned::to_owned)
        })
        .await
    }

    /// Waits until the address contains `part`.
    ///
    /// # Panics
    /// It never does.
    pub async fn wait_url(&self, part: &str) -> String {
        until(&format!("the address has {part:?}"), PATIENCE, async || {
            self.url().await.ok().filter(|u| u.contains(part))
        })
        .await
    }

    /// Runs a function body in the page and gives what it returns.
    pub async fn run(&self, script: &str) -> Result<Value> {
        self.post("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until a function body returns true in the page.
    ///
    /// # Panics
    /// It never does.
    pub async fn holds(&self, what: &str, script: &str) {
        until(what, PATIENCE, async || (self.run(script).await.ok()? == json!(true)).then_some(())).await;
    }

    /// Runs a function body that calls its last argument with the result.
    pub async fn run_async(&self, script: &str) -> Result<Value> {
        self.post("execute/async", json!({ "script": script, "args": [] })).await
    }

    /// What the console said since it was last asked: errors, warnings, violations of the policy.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let log = self.post("se/log", json!({ "type": "browser" })).await?;
        let entries = log.as_array().cloned().unwrap_or_default();
        Ok(entries
            .iter()
            .filter(|e| matches!(e["level"].as_str(), Some("SEVERE" | "WARNING")))
            .filter_map(|e| e["message"].as_str().map(ToOwned::to_owned))
            .collect())
    }

    /// Writes a picture of the whole page.
    pub async fn picture(&self, path: &Path) -> Result<()> {
        let shot = self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await?;
        let bytes = STANDARD.decode(shot["data"].as_str().context("no picture")?)?;
        std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
    }

    /// Whether the page is wider than its window.
    pub async fn scrolls_sideways(&self) -> Result<bool> {
        let wider = self
            .run("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
            .await?;
        Ok(wider == json!(true))
    }
}

/// Waits until the driver takes commands.
fn ready(driver: &mut Child) -> Result<()> {
    let out = driver.stdout.take().context("the driver has no output")?;
    let mut lines = BufReader::new(out).lines();
    let mut said = String::new();
    loop {
        let Some(line) = lines.next() else {
            bail!("the driver ended before it was ready; it said:\n{said}")
        };
        let line = line?;
        if line.contains("started successfully on port ") {
            break;
        }
        said.push_str(&line);
        said.push('\n');
    }
    // Whoever writes to a pipe that nobody reads stands still.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Ok(())
}

async fn answer(response: reqwest::Response) -> Result<Value> {
    let body: Value = response.json().await?;
    let value = body["value"].clone();
    if let Some(error) = value.get("error").and_then(Value::as_str) {
        let message =
            value["message"].as_str().unwrap_or_default().lines().next().unwrap_or_default().to_owned();
        bail!("{error}: {message}");
    }
    Ok(value)
}
