//! A sidecar, and how it is asked.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::nats::TestBroker;
use tests::tools;
use tests::until::{secs, until};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long anything may take that is to happen at all.
pub(crate) const PATIENCE: Duration = secs(60);

/// A running `live serve`.
pub(crate) struct Sidecar {
    pub(crate) child: Child,
    /// `127.0.0.1:<port>`.
    pub(crate) address: String,
    pub(crate) socket: PathBuf,
    pub(crate) token: String,
    pub(crate) token_file: PathBuf,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// With lower-case names.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))
    }

    /// The stable code of a problem.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// `live serve` of this broker, not started.
pub(crate) fn command(test: &TestBroker, name: &str, more: &[&str]) -> Result<Command> {
    let (creds, connect) = test.write_credential(name)?;
    let home = test.directory().join(name);
    std::fs::create_dir_all(&home)?;
    let mut command = Command::new(tools::binary("live"));
    command
        .args(["serve", "--json"])
        .args(more)
        .env_clear()
        .env("HOME", &home)
        .env("LIVE_CONFIG_DIR", home.join("config"))
        .env("LIVE_CACHE_DIR", home.join("cache"))
        .env("LIVE_CONNECTION", connect)
        .env("LIVE_CREDENTIALS", creds)
        .env("LIVE_NAME", name)
        .env("LIVE_SOCKET", home.join("live.http"))
        .env("LIVE_LISTEN", "127.0.0.1:0")
        .env("LIVE_DRAIN_DELAY_MS", "300")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

impl Sidecar {
    pub(crate) async fn start(test: &TestBroker, name: &str, more: &[&str]) -> Result<Self> {
        Self::of(command(test, name, more)?.spawn()?).await
    }

    /// One that was started, once it says where it serves.
    pub(crate) async fn of(mut child: Child) -> Result<Self> {
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.context("it says nothing")??;
        let said: Value = serde_json::from_str(&first.context("it ended")?)?;
        let token_file = said["token_file"].as_str().map(PathBuf::from).unwrap_or_default();
        let token = std::fs::read_to_string(&token_file).unwrap_or_default();
        Ok(Self {
            child,
            address: said["listen"][0].as_str().unwrap_or_default().to_owned(),
            socket: said["socket"].as_str().map(PathBuf::from).unwrap_or_default(),
            token: token.trim().to_owned(),
            token_file,
        })
    }

    /// The same, once `hello` is served.
    pub(crate) async fn serving(test: &TestBroker, name: &str, more: &[&str]) -> Result<Self> {
        let sidecar = Self::start(test, name, more).await?;
        until("it is ready", PATIENCE, async || {
            sidecar.get("/v1/prompts/hello").await.ok().filter(|answer| answer.status == 200)
        })
        .await;
        Ok(sidecar)
    }

    /// Waits until all that [`furnish`] published is served: one set may come a while after the other.
    pub(crate) async fn furnished(&self) {
        until("both sets are here", PATIENCE, async || {
            for id in ["hello", "@talk/chat"] {
                let path = format!("/v1/prompts/{id}");
                self.get(&path).await.ok().filter(|answer| answer.status == 200)?;
            }
            Some(())
        })
        .await;
    }

    pub(crate) fn bearer(&self) -> String {
        format!("authorization: Bearer {}", self.token)
    }

    /// Over TCP, with the token.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.ask("GET", path, None, &[]).await
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
        more: &[&str],
    ) -> Result<Answer> {
        let bearer = self.bearer();
        let mut all = vec!["-X", method, "-H", &bearer];
        all.extend(more);
        self.bare(path, body, &all).await
    }

    /// Over TCP, with nothing but what is given.
    pub(crate) async fn bare(&self, path: &str, body: Option<&str>, more: &[&str]) -> Result<Answer> {
        curl(&format!("http://{}{path}", self.address), body, more).await
    }

    /// Over the Unix socket.
    pub(crate) async fn near(&self, path: &str, body: Option<&str>, more: &[&str]) -> Result<Answer> {
        let socket = self.socket.to_str().context("a path")?;
        let mut all = vec!["--unix-socket", socket];
        all.extend(more);
        curl(&format!("http://localhost{path}"), body, &all).await
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id().context("it has ended")?)?;
        Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal)?)
    }

    /// Its exit code, once it has ended by itself.
    pub(crate) async fn ended(&mut self) -> Result<Option<i32>> {
        Ok(tokio::time::timeout(PATIENCE, self.child.wait()).await.context("it does not end")??.code())
    }
}

pub(crate) async fn curl(url: &str, body: Option<&str>, more: &[&str]) -> Result<Answer> {
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--max-time", "60", "-H", "expect:"]).args(more);
    if body.is_some() {
        command.args(["-H", "content-type: application/json", "--data-binary", "@-"]).stdin(Stdio::piped());
    }
    let mut child =
        command.arg(url).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    if let (Some(body), Some(mut stdin)) = (body, child.stdin.take()) {
        use tokio::io::AsyncWriteExt as _;
        let _ = stdin.write_all(body.as_bytes()).await;
    }
    let output = child.wait_with_output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(!text.is_empty(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
    let status = head.split(' ').nth(1).context("no status")?.trim().parse()?;
    Ok(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// A text prompt of set `chat` that greets, and a chat of set `talk` with a place for a history.
pub(crate) async fn furnish(test: &TestBroker) -> Result<()> {
    let mut bundle = test.bundle(
        "chat",
        "1.0.0",
        &[("hello", "Hello {{ name }}, {{ n }} new"), ("x/deep", "deep"), ("same", "of chat")],
    );
    let parameters = serde_json::json!([
        {"name": "name", "type": "string", "required": true, "max_length": 80, "example": "Ada"},
        {"name": "n", "type": "integer", "required": true, "description": "<b>How many</b>"},
    ]);
    bundle.prompts[0].parameters = serde_json::from_value(parameters)?;
    bundle.prompts[0].description = "Greets <script>alert(1)</script> people".into();
    test.publish(bundle).await?;
    let mut talk = test.bundle("talk", "2.0.0", &[("chat", ""), ("same", "of talk"), ("bad", "")]);
    talk.prompts[0].content = serde_json::from_value(serde_json::json!({ "type": "chat", "messages": [
        {"type": "message", "role": "system", "template": "You are {{ who }}."},
        {"type": "placeholder", "name": "history"},
    ]}))?;
    talk.prompts[0].parameters =
        serde_json::from_value(serde_json::json!([{"name": "who", "type": "string", "required": true}]))?;
    talk.prompts[2].content = serde_json::from_value(serde_json::json!({ "type": "text",
        "template": "{% for a in l %}{% for b in l %}{% for c in l %}{% for d in l %}{{ a }}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{{ o.missing }}" }))?;
    talk.prompts[2].parameters = serde_json::from_value(serde_json::json!([
        {"name": "l", "type": "list", "items": {"type": "integer"}, "required": true},
        {"name": "o", "type": "object", "required": true},
    ]))?;
    test.publish(talk).await?;
    Ok(())
}
