//! The `live` command, as people and scripts use it.

use std::process::{Output, Stdio};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use nats_config::subject;
use schemas::connect::ConnectString;
use serde_json::Value;
use tests::nats::TestBroker;
use tests::tools;
use tests::until::until;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use tests::stage::{PATIENCE, publish};

pub(crate) struct Shell {
    pub(crate) test: TestBroker,
}

impl Shell {
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tools::binary("live"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.test.directory())
            .env("LIVE_CONFIG_DIR", self.test.directory().join("config"))
            .env("LIVE_CACHE_DIR", self.test.directory().join("cache"))
            .env("LIVE_NAME", "shell")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn live(&self, arguments: &[&str]) -> Result<Output> {
        let output = self.command(arguments).output();
        Ok(tokio::time::timeout(PATIENCE, output).await.context("live hangs")??)
    }

    /// What it says, where it must do it.
    pub(crate) async fn says(&self, arguments: &[&str]) -> Result<String> {
        let output = self.live(arguments).await?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "{arguments:?}: {error}");
        Ok(String::from_utf8(output.stdout)?)
    }

    pub(crate) async fn json(&self, arguments: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.says(arguments).await?)?)
    }

    /// Exit code and message, where it must fail.
    pub(crate) async fn fails(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = self.live(arguments).await?;
        anyhow::ensure!(!output.status.success(), "{arguments:?} went well");
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    pub(crate) async fn connect(&self, line: &str) -> Result<Output> {
        self.connect_with(line, &[]).await
    }

    pub(crate) async fn connect_with(&self, line: &str, more: &[&str]) -> Result<Output> {
        let mut child = self
            .command(&[&["connect"], more].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(line.as_bytes()).await?;
        stdin.write_all(b"\n").await?;
        drop(stdin);
        Ok(tokio::time::timeout(PATIENCE * 2, child.wait_with_output()).await.context("it hangs")??)
    }

    pub(crate) fn connect_string(&self) -> Result<ConnectString> {
        let (minted, connection) = self.test.mint("shell")?;
        Ok(ConnectString { connection, creds: minted.creds.to_string() })
    }

    /// An agent in the foreground, once it has said that it runs.
    pub(crate) async fn run(
        &self,
        arguments: &[&str],
    ) -> Result<(Child, tokio::io::Lines<BufReader<ChildStdout>>)> {
        let mut all = vec!["run"];
        all.extend_from_slice(arguments);
        let mut child = self.command(&all).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let first = line(&mut lines).await?;
        anyhow::ensure!(first.contains("shell"), "{first}");
        until("it answers", PATIENCE, async || {
            self.says(&["status"]).await.ok().filter(|s| s.contains("connected, "))
        })
        .await;
        Ok((child, lines))
    }
}

pub(crate) async fn line(lines: &mut tokio::io::Lines<BufReader<ChildStdout>>) -> Result<String> {
    let next = tokio::time::timeout(PATIENCE, lines.next_line()).await.context("it says nothing")??;
    next.context("it ended")
}

#[tokio::test]
async fn a_connect_string_becomes_a_profile_only_when_it_works() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut shell = Shell { test: TestBroker::start().await? };
    publish(&shell.test, "1.0.0", "Hello!").await?;
    let config = shell.test.directory().join("config");

    let (code, error) = shell.fails(&["status"]).await?;
    assert_eq!(code, 64, "{error}");
    assert!(error.contains("live connect"), "{error}");

    let found = shell.connect_string()?;
    let nonsense = shell.connect("anvil1.nonsense").await?;
    assert_eq!(nonsense.status.code(), Some(64));
    let cut = found.to_line();
    let cut = shell.connect(&cut[..cut.len() - 20]).await?;
    assert_eq!(cut.status.code(), Some(64));
    assert!(!config.exists(), "nothing is kept of what does not work");

    let good = shell.connect(&found.to_line()).await?;
    let said = String::from_utf8_lossy(&good.stderr).into_owned();
    assert!(good.status.success(), "{said}");
    assert!(said.contains("1 set with 1 prompt"), "{said}");
    for file in ["default.creds", "default.connect.json"] {
        let mode = std::fs::metadata(config.join(file))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let output = String::from_utf8_lossy(&good.stdout).into_owned() + &said;
    assert!(!output.contains("SU") || !output.contains("SEED"), "no secret is shown");
    assert_eq!(shell.says(&["prompt", "hello"]).await?, "Hello!\n");

    // Another scope's connection is not replaced unless somebody says so.
    let (minted, connection) = shell.test.mint_in("prod", "other")?;
    let other = ConnectString { connection, creds: minted.creds.to_string() }.to_line();
    let before = std::fs::read(config.join("default.connect.json"))?;
    let kept = shell.connect(&other).await?;
    let said = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert_eq!(kept.status.code(), Some(77), "{said}");
    assert!(said.contains("acme/support/prod") && said.contains("--force"), "{said}");
    assert_eq!(std::fs::read(config.join("default.connect.json"))?, before);
    let cache = shell.test.directory().join("prod-cache");
    let forced =
        shell.connect_with(&other, &["--force", "--cache-dir", cache.to_str().context("a path")?]).await?;
    assert!(forced.status.success(), "{}", String::from_utf8_lossy(&forced.stderr));
    assert_ne!(std::fs::read(config.join("default.connect.json"))?, before);
    let back = shell.connect_with(&found.to_line(), &["--force"]).await?;
    assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));

    // Nor are the roots that are trusted: a string of the same scope that brings none of them.
    let before = std::fs::read(config.join("default.connect.json"))?;
    let mut impostor = found.clone();
    let theirs = nkeys::KeyPair::new_operator().public_key();
    impostor.connection.roots = vec![theirs.clone()];
    let kept = shell.connect(&impostor.to_line()).await?;
    let said = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert_eq!(kept.status.code(), Some(77), "{said}");
    assert!(said.contains(&theirs) && said.contains(&found.connection.roots[0]), "both are named: {said}");
    assert_eq!(std::fs::read(config.join("default.connect.json"))?, before);
    // One of them is enough: roots come and go one at a time.
    impostor.connection.roots.extend(found.connection.roots.clone());
    let more = shell.connect(&impostor.to_line()).await?;
    assert!(more.status.success(), "{}", String::from_utf8_lossy(&more.stderr));

    // A credential that was revoked is not kept.
    let (minted, connection) = shell.test.mint("gone")?;
    shell.test.revoke(&minted.public_key).await?;
    let gone = ConnectString { connection, creds: minted.creds.to_string() };
    let refused = shell.connect(&gone.to_line()).await?;
    assert_eq!(refused.status.code(), Some(69), "{}", String::from_utf8_lossy(&refused.stderr));
    Ok(())
}

#[tokio::test]
async fn a_connect_string_as_an_argument_is_refused_and_not_repeated() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    let line = shell.connect_string()?.to_line();
    let (code, error) = shell.fails(&["connect", &line]).await?;
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("history") && error.contains("standard input"), "it says why: {error}");
    assert!(!error.contains(&line[..40]) && !error.contains(&line[line.len() - 20..]), "{error}");
    assert!(!shell.test.directory().join("config").exists(), "nothing is kept");
    Ok(())
}

/// Runs a program on a terminal of its own, types a line when it asks, and gives exit code and screen.
const TERMINAL: &str = r#"
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
line, screen, typed = sys.stdin.buffer.read(), b"", False
while True:
    try:
        part = os.read(fd, 65536)
    except OSError:
        break
    if not part:
        break
    screen += part
    if b"connect string" in screen and not typed:
        typed = True
        for at in range(0, len(line), 512):
            os.write(fd, line[at:at + 512])
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(screen)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

#[tokio::test]
async fn a_connect_string_longer_than_a_terminals_line_is_typed_and_never_shown() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    publish(&shell.test, "1.0.0", "Hello!").await?;
    let mut found = shell.connect_string()?;
    // A terminal that gathers lines itself keeps 4,095 bytes of one.
    found.connection.forge_url = Some(format!("https://forge.example/{}", "x".repeat(4_000)));
    let line = found.to_line();
    assert!(line.len() > 5_000);
    let live = tools::binary("live");
    let mut child = Command::new("python3")
        .args(["-c", TERMINAL])
        .arg(&live)
        .arg("connect")
        .env("HOME", shell.test.directory())
        .env("LIVE_CONFIG_DIR", shell.test.directory().join("config"))
        .env("LIVE_CACHE_DIR", shell.test.directory().join("cache"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    stdin.write_all(format!("{line}\n").as_bytes()).await?;
    drop(stdin);
    let done = tokio::time::timeout(PATIENCE * 2, child.wait_with_output()).await.context("it hangs")??;
    let screen = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{screen}{}", String::from_utf8_lossy(&done.stderr));
    assert!(screen.contains("1 set with 1 prompt"), "{screen}");
    for at in (0..line.len() - 20).step_by(20) {
        assert!(!screen.contains(&line[at..at + 20]), "the terminal shows it: {screen}");
    }
    Ok(())
}

#[tokio::test]
async fn a_running_agent_is_asked_and_without_one_the_disk() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    let mut bundle = shell.test.bundle("chat", "1.0.0", &[("hello", "Hello {{ name }}, {{ n }} new")]);
    for (name, kind) in [("name", r#"{"type":"string"}"#), ("n", r#"{"type":"integer"}"#)] {
        let mut parameter: Value = serde_json::from_str(kind)?;
        parameter["name"] = name.into();
        parameter["required"] = true.into();
        bundle.prompts[0].parameters.push(serde_json::from_value(parameter)?);
    }
    shell.test.publish(bundle.clone()).await?;
    assert!(shell.connect(&shell.connect_string()?.to_line()).await?.status.success());

    // Without an agent.
    let status = shell.json(&["status", "--json"]).await?;
    assert_eq!(status["running"], false);
    assert!(shell.says(&["status"]).await?.contains("no agent is running; from disk"));
    let rendered = ["prompt", "hello", "--var", "name=Ada", "--var", "n=3"];
    assert_eq!(shell.says(&rendered).await?, "Hello Ada, 3 new\n");
    let (code, error) = shell.fails(&["prompt", "hello", "--var", "name=Ada", "--var", "n=three"]).await?;
    assert_eq!(code, 1);
    assert!(error.contains("hello") && error.contains(" n") && error.contains("integer"), "{error}");
    assert!(!error.contains("three"), "a value is never shown: {error}");
    assert!(shell.says(&["list"]).await?.contains("@chat/hello"));
    let found = shell.json(&["search", "@chat", "new", "--json"]).await?;
    assert_eq!(found[0]["id"], "hello", "by its text: {found}");
    assert_eq!(shell.says(&["get", "hello"]).await?, "Hello {{ name }}, {{ n }} new\n");

    // With one.
    let (mut child, mut lines) =
        shell.run(&["--print", "hello", "--var", "name=Ada", "--var", "n=3"]).await?;
    assert_eq!(line(&mut lines).await?, "--- hello ---");
    assert_eq!(line(&mut lines).await?, "Hello Ada, 3 new");
    assert_eq!(line(&mut lines).await?, "---");
    assert_eq!(shell.json(&["status", "--json"]).await?["running"], true);
    assert_eq!(shell.says(&rendered).await?, "Hello Ada, 3 new\n");
    assert_eq!(shell.json(&["search", "@chat", "new", "--json"]).await?, found);
    assert_eq!(shell.says(&["search", "nowhere"]).await?, "");
    assert_eq!(shell.says(&["mode", "frozen"]).await?, "FROZEN\n");
    bundle.version = "1.1.0".parse()?;
    bundle.prompts[0].content =
        schemas::prompt::Content::Text { template: "Bye {{ name }}, {{ n }} old".into() };
    shell.test.publish(bundle).await?;
    let waits = until("it waits", PATIENCE, async || {
        let output = shell.live(&["sync", "--check"]).await.ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        (output.status.code() == Some(3) && said.contains("waits for ACCEPTING")).then_some(said)
    })
    .await;
    assert!(waits.contains("serial 2"), "{waits}");
    // What would change, without colours where nobody looks.
    let output = shell.live(&["diff"]).await?;
    let said = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in
        ["@chat 1.0.0 -> 1.1.0 (serial 2)", "-Hello {{ name }}, {{ n }} new", "+Bye {{ name }}, {{ n }} old"]
    {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    assert!(!said.contains('\x1b'), "{said}");
    let history = shell.json(&["history", "chat", "--json"]).await?;
    assert_eq!(
        (history[0]["active"].as_bool(), history[1]["serial"].as_u64()),
        (Some(true), Some(2)),
        "{history}"
    );
    assert_eq!(shell.says(&rendered).await?, "Hello Ada, 3 new\n");
    assert_eq!(shell.says(&["mode", "accepting"]).await?, "ACCEPTING\n");
    let change = line(&mut lines).await?;
    assert!(change.contains("@chat 1.0.0 -> 1.1.0"), "{change}");
    assert_eq!(line(&mut lines).await?, "--- hello ---");
    assert_eq!(line(&mut lines).await?, "Bye Ada, 3 old");
    assert_eq!(shell.says(&rendered).await?, "Bye Ada, 3 old\n");
    let source = shell.json(&["get", "@chat/hello", "--json"]).await?;
    assert_eq!(source["parameters"][1]["type"], "integer");

    // SIGTERM ends it well, and its socket is gone.
    let pid = i32::try_from(child.id().context("it runs")?)?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?;
    assert!(tokio::time::timeout(PATIENCE, child.wait()).await??.success());
    assert!(!shell.test.directory().join("cache/live.sock").exists());

    // A file for an image, and an agent that starts from it with nothing else there.
    let baked = shell.test.directory().join("prompts.baked");
    let baked = baked.to_str().context("a path")?;
    assert!(shell.says(&["bundle", "bake", baked]).await?.contains("holds 1 set\n"));
    let empty = shell.test.directory().join("empty");
    let output = self::tools_free(&shell, baked, empty.to_str().context("a path")?).await?;
    assert_eq!(output, "Bye Ada, 3 old\n");
    Ok(())
}

async fn tools_free(shell: &Shell, baked: &str, cache: &str) -> Result<String> {
    let arguments = ["prompt", "hello", "--var", "name=Ada", "--var", "n=3"];
    let more = ["--baked", baked, "--cache-dir", cache];
    let all: Vec<&str> = arguments.into_iter().chain(more).collect();
    shell.says(&all).await
}

#[tokio::test]
async fn a_mode_set_without_an_agent_holds_for_the_next_one() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    publish(&shell.test, "1.0.0", "one").await?;
    assert!(shell.connect(&shell.connect_string()?.to_line()).await?.status.success());
    assert_eq!(shell.says(&["mode", "frozen"]).await?, "FROZEN\n");
    assert_eq!(shell.says(&["mode"]).await?, "FROZEN\n");
    publish(&shell.test, "1.1.0", "two").await?;
    let (_child, _lines) = shell.run(&[]).await?;
    assert_eq!(shell.says(&["mode"]).await?, "FROZEN\n");
    assert_eq!(shell.says(&["prompt", "hello"]).await?, "one\n");
    Ok(())
}

#[tokio::test]
async fn an_agent_with_nothing_on_disk_is_never_said_to_be_frozen_or_pinned_from_here() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    publish(&shell.test, "1.0.0", "one").await?;
    assert!(shell.connect(&shell.connect_string()?.to_line()).await?.status.success());
    let (_child, _lines) = {
        let mut child = shell
            .command(&["run", "--memory-only"])
            .env_remove("LIVE_CACHE_DIR")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        line(&mut lines).await?;
        (child, lines)
    };
    for command in [&["mode", "frozen"][..], &["mode"], &["pin", "chat", "^1"], &["unpin", "chat"], &["sync"]]
    {
        let output = shell
            .command(&[command, &["--memory-only"]].concat())
            .env_remove("LIVE_CACHE_DIR")
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{command:?}: {said}");
        assert!(said.contains("memory_only") && said.contains("PUT /v1/mode"), "{command:?}: {said}");
        assert!(output.stdout.is_empty(), "{command:?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_an_agent_what_waits_is_shown_and_nothing_is_taken_up() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    let bundle = |version: &str, text: &str| {
        let mut bundle = shell.test.bundle("chat", version, &[("hello", text), ("bye", "Bye")]);
        bundle.prompts[0].description = "Greets\nthe \u{1b}[31mcustomer".into();
        bundle
    };
    shell.test.publish(bundle("1.0.0", "one")).await?;
    shell.test.publish(shell.test.bundle("mail", "1.0.0", &[("reply", "Dear")])).await?;
    assert!(shell.connect(&shell.connect_string()?.to_line()).await?.status.success());
    let nothing = shell.live(&["sync", "--check"]).await?;
    assert_eq!(nothing.status.code(), Some(0), "nothing waits");
    assert_eq!(shell.says(&["diff"]).await?, "nothing waits\n");

    shell.test.publish(bundle("1.1.0", "two \u{1b}[2K")).await?;
    let mut statuses = tests::stage::statuses(&shell.test).await?;
    let check = async |command: &[&str]| -> Result<String> {
        let output = shell.live(command).await?;
        let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        anyhow::ensure!(output.status.code() == Some(3), "{command:?}: {said}");
        Ok(said)
    };
    // Twice: what the first looked at is not taken up by the second.
    for _ in 0..2 {
        let said = check(&["sync", "--check"]).await?;
        assert!(said.contains("ACCEPTING") && said.contains("serial 2 is verified"), "{said}");
        assert!(said.contains("is taken up once an agent runs"), "{said}");
        let said = check(&["diff"]).await?;
        assert!(said.contains("@chat 1.0.0 -> 1.1.0 (serial 2)"), "{said}");
        assert!(
            said.contains("-one") && said.contains("+two \u{fffd}[2K") && !said.contains('\u{1b}'),
            "{said}"
        );
        let history = shell.json(&["history", "chat", "--json"]).await?;
        let active = |at: usize| history[at]["active"].as_bool();
        assert_eq!((active(0), active(1)), (Some(true), Some(false)), "{history}");
        assert_eq!(shell.says(&["prompt", "hello"]).await?, "one\n");
    }
    assert!(futures::FutureExt::now_or_never(statuses.next()).is_none(), "FORGE hears of none of it");
    assert_eq!(shell.json(&["status", "--json"]).await?["mode"], "ACCEPTING");

    // Pins that are set without an agent hold, also for what only looks.
    assert_eq!(shell.says(&["pin", "chat", "=1.0.0"]).await?, "@chat =1.0.0\n");
    assert!(check(&["sync", "--check"]).await?.contains("does not fit the pin"));
    shell.says(&["sync"]).await?;
    assert_eq!(shell.says(&["prompt", "hello"]).await?, "one\n");
    assert_eq!(shell.says(&["unpin", "chat"]).await?, "@chat is not pinned\n");
    assert!(shell.says(&["sync"]).await?.contains("1.1.0"));
    assert_eq!(shell.says(&["prompt", "hello"]).await?, "two \u{1b}[2K\n", "a render is given as it is");

    // What authors wrote stays on its line.
    let of_chat = shell.says(&["list", "--set", "chat"]).await?;
    assert!(
        of_chat.lines().count() == 2 && of_chat.contains("Greets\u{fffd}the \u{fffd}[31mcustomer"),
        "{of_chat}"
    );
    assert!(shell.says(&["list", "--set", "mail"]).await?.contains("@mail/reply"));
    assert_eq!(shell.says(&["list", "--set", "none"]).await?, "");
    let found = shell.json(&["search", "CUSTOMER", "chat", "--json"]).await?;
    assert_eq!(
        (found[0]["id"].as_str(), found.as_array().map(Vec::len)),
        (Some("hello"), Some(1)),
        "{found}"
    );
    assert_eq!(shell.says(&["search", "hello", "reply"]).await?, "", "each word has to be there");

    for (set, warned) in [("mail", false), ("mial", true)] {
        let pinned = shell.command(&["pin", set, "*"]).output().await?;
        let said = String::from_utf8_lossy(&pinned.stderr).into_owned();
        assert!(pinned.status.success(), "{said}");
        assert_eq!(said.contains("no set of this name is here yet"), warned, "{set}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn that_nothing_is_served_yet_ends_with_its_own_code_with_an_agent_and_without() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    assert!(shell.connect(&shell.connect_string()?.to_line()).await?.status.success());
    for command in [["prompt", "hello"], ["get", "hello"]] {
        let (code, error) = shell.fails(&command).await?;
        assert!(code == 69 && error.contains("nothing is served yet"), "{code} {error}");
    }
    let (_child, _lines) = shell.run(&[]).await?;
    for command in [["prompt", "hello"], ["get", "hello"]] {
        let (code, error) = shell.fails(&command).await?;
        assert!(code == 69 && error.contains("nothing is served yet"), "{code} {error}");
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_in_the_foreground_ends_when_it_is_told_to_while_its_start_still_waits() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    publish(&shell.test, "1.0.0", "one").await?;
    assert!(shell.connect(&shell.connect_string()?.to_line()).await?.status.success());
    let folder = shell.test.directory().join("overrides");
    std::fs::create_dir(&folder)?;
    let waits = ["--start", "fresh", "--start-wait", "1h"];
    for command in [&["run"][..], &["dev", folder.to_str().context("a path")?]] {
        let mut child = shell.command(&[command, &waits].concat()).stdout(Stdio::piped()).spawn()?;
        until("it is up", PATIENCE, async || {
            shell.says(&["status"]).await.ok().filter(|said| said.contains("connected"))
        })
        .await;
        let pid = i32::try_from(child.id().context("it runs")?)?;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?;
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await.context("it does not end")??;
        assert_eq!(ended.code(), Some(0), "{command:?}");
    }
    Ok(())
}

#[tokio::test]
async fn wrong_usage_and_bad_configuration_have_their_own_exit_codes() -> Result<()> {
    let shell = Shell { test: TestBroker::start().await? };
    assert_eq!(shell.fails(&["frobnicate"]).await?.0, 2);
    assert_eq!(shell.fails(&["mode", "sleepy"]).await?.0, 2);
    let (creds, connect) = shell.test.write_credential("shell")?;
    let (creds, connect) = (creds.to_str().context("path")?, connect.to_str().context("path")?);
    let with = |more: &[&'static str]| {
        let mut all = vec!["status", "--connection", connect, "--credentials", creds];
        all.extend_from_slice(more);
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let code = async |arguments: Vec<String>| {
        shell.fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let (bad, error) = code(with(&["--name", "Not A Slug"])).await?;
    assert!(bad == 64 && error.contains("name:"), "{bad} {error}");
    let (bad, error) = code(with(&["--mode-default", "sleepy"])).await?;
    assert!(bad == 64 && error.contains("mode:"), "{bad} {error}");
    let missing = shell.fails(&["status", "--connection", connect, "--credentials", "/none"]).await?;
    assert!(missing.0 == 64 && missing.1.contains("credentials:"), "{missing:?}");
    // A cache of another scope.
    let cache = shell.test.directory().join("cache");
    let (minted, connection) = shell.test.mint_in("prod", "other")?;
    let other = live_agent::LiveAgent::builder()
        .connection(connection)
        .credentials(minted.creds.as_str())
        .cache_dir(&cache)
        .start()
        .await?;
    other.stop().await;
    let (bad, error) = code(with(&[])).await?;
    assert!(bad == 64 && error.contains("cache_dir:") && error.contains("prod"), "{bad} {error}");
    assert_eq!(subject::stream(&shell.test.scope("dev")), "FORGE_acme_support_dev");
    Ok(())
}
