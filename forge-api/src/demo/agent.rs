//! The LIVE agent of the demo: `live connect` with the connect string on its standard input, then
//! `live run`.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};

/// The prompt that it prints at each change.
const PRINTED: &str = "welcome.message";
/// How long it may take to end when asked.
const END: Duration = Duration::from_secs(5);

pub(super) struct LiveProcess {
    child: Child,
    lines: Arc<Lines>,
}

/// What the agent printed.
#[derive(Default)]
struct Lines {
    /// Since the beginning.
    all: Mutex<Vec<String>>,
    more: Notify,
    forward: watch::Sender<bool>,
}

impl LiveProcess {
    /// Connects and starts the agent; the connect string goes through a pipe, never a command line.
    pub(super) async fn start(live: &Path, data_dir: &Path, connect: &str) -> anyhow::Result<Self> {
        let home = data_dir.join("agent");
        let command = || {
            let mut command = Command::new(live);
            command
                .env("LIVE_CONFIG_DIR", home.join("config"))
                .env("LIVE_CACHE_DIR", home.join("cache"))
                .env("LIVE_NAME", "demo-agent")
                .env("LIVE_SERVICE", "demo")
                .env("LIVE_LOG", "warn")
                .kill_on_drop(true);
            command
        };
        let mut connecting = command()
            .arg("connect")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", live.display()))?;
        if let Some(mut stdin) = connecting.stdin.take() {
            stdin
                .write_all(format!("{connect}\n").as_bytes())
                .await
                .context("handing over the connect string")?;
        }
        let output = connecting.wait_with_output().await.context("waiting for live connect")?;
        if !output.status.success() {
            bail!("live connect failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let mut child = command()
            .args(["run", "--print", PRINTED, "--var", "name=Ada"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("starting {}", live.display()))?;
        let lines = Arc::new(Lines::default());
        let stdout = child.stdout.take().context("reading what the agent prints")?;
        let into = Arc::clone(&lines);
        tokio::spawn(async move {
            let mut reader = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                if *into.forward.borrow() {
                    println!("  agent | {line}");
                }
                into.all.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                into.more.notify_waiters();
            }
        });
        Ok(Self { child, lines })
    }

    /// Waits until the agent printed a text of the prompt that is wanted; gives it.
    pub(super) async fn printed(
        &mut self,
        wanted: impl Fn(&str) -> bool,
        deadline: Duration,
    ) -> anyhow::Result<String> {
        let lines = Arc::clone(&self.lines);
        let found = async {
            loop {
                let more = lines.more.notified();
                if let Some(text) =
                    last_text(&lines.all.lock().unwrap_or_else(PoisonError::into_inner), &wanted)
                {
                    return text;
                }
                more.await;
            }
        };
        tokio::select! {
            found = tokio::time::timeout(deadline, found) => {
                found.with_context(|| format!("the agent did not print the expected text within {} s", deadline.as_secs()))
            }
            status = self.child.wait() => bail!("the agent ended: {}", status?),
        }
    }

    /// Prints what the agent prints, until it ends.
    pub(super) async fn forward(&self) {
        self.lines.forward.send_replace(true);
        // The task that reads ends with the agent, and with it the last other holder of the lines.
        while Arc::strong_count(&self.lines) > 1 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends the agent.
    pub(super) async fn stop(mut self) {
        let _ = self.child.start_kill();
        let _ = tokio::time::timeout(END, self.child.wait()).await;
    }
}

/// The last text between `--- welcome.message ---` and `---` that is wanted.
fn last_text(lines: &[String], wanted: &impl Fn(&str) -> bool) -> Option<String> {
    let head = format!("--- {PRINTED} ---");
    let mut found = None;
    let mut rest = lines;
    while let Some(start) = rest.iter().position(|l| *l == head) {
        let body = rest.get(start + 1..)?;
        let Some(end) = body.iter().position(|l| l == "---") else { break };
        let text = body.get(..end)?.join("\n");
        if wanted(&text) {
            found = Some(text);
        }
        rest = body.get(end + 1..)?;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_text_is_taken() {
        let lines: Vec<String> = [
            "x",
            "--- welcome.message ---",
            "Welcome 1",
            "---",
            "y",
            "--- welcome.message ---",
            "Welcome 2",
            "more",
            "---",
            "--- welcome.message ---",
            "Welcome 3",
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(last_text(&lines, &|_| true).as_deref(), Some("Welcome 2\nmore"));
        assert_eq!(last_text(&lines, &|t| t.contains('1')).as_deref(), Some("Welcome 1"));
        assert_eq!(last_text(&lines, &|t| t.contains('3')), None);
    }
}
