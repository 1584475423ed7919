//! `compose.yaml`: read by the compose tool, held against the repository, and run on this machine, by its own
//! commands and with its own environment, as far as that goes without a container engine.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tests::forge::broker::ExternalBroker;
use tests::forge::free_port;
use tests::postgres::Postgres;
use tests::tools::{binary, find, repo_root, skipped};
use tests::until::{secs, until};

fn stack() -> Result<Value> {
    let text = std::fs::read_to_string(repo_root().join("compose.yaml"))?;
    serde_saphyr::from_str(&text).context("compose.yaml is YAML")
}

fn services(stack: &Value) -> Result<&serde_json::Map<String, Value>> {
    stack["services"].as_object().context("services")
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    let of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    service["environment"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), of(v))).collect()
}

/// What a service runs: its entry point, or that of its image, and its command.
fn command(name: &str, service: &Value) -> Vec<String> {
    let entry = match words(&service["entrypoint"]) {
        own if !own.is_empty() => own,
        _ => match service["image"].as_str() {
            Some("anvil/forge") => vec!["forge".into()],
            Some("anvil/example") => vec!["example-service".into()],
            _ => vec![name.into()],
        },
    };
    entry.into_iter().chain(words(&service["command"])).collect()
}

#[test]
fn the_compose_tool_reads_the_stack() -> Result<()> {
    let Some(tool) = find("docker-compose", &[]) else {
        skipped(
            "the_compose_tool_reads_the_stack: there is no docker-compose; scripts/ensure-tools installs it",
        );
        return Ok(());
    };
    let done = Command::new(tool).args(["-f", "compose.yaml", "config"]).current_dir(repo_root()).output()?;
    ensure!(done.status.success(), "docker-compose config: {}", String::from_utf8_lossy(&done.stderr));
    let read: Value = serde_saphyr::from_str(&String::from_utf8(done.stdout)?)?;
    let stack = stack()?;
    let names = |stack: &Value| {
        services(stack).map(|all| all.keys().cloned().collect::<std::collections::BTreeSet<_>>())
    };
    assert_eq!(names(&read)?, names(&stack)?);
    Ok(())
}

#[test]
fn nothing_secret_stands_in_the_stack() -> Result<()> {
    let stack = stack()?;
    for (name, service) in services(&stack)? {
        for (key, value) in environment(service) {
            let secret = ["PASSWORD", "SECRET", "TOKEN", "MASTER_KEY", "CREDENTIALS"]
                .iter()
                .any(|word| key.contains(word));
            assert!(!secret || value.starts_with('/'), "{name}: {key} is not the path of a file");
            assert!(!value.contains(":@") && !value.contains("password="), "{name}: {key} holds a password");
        }
    }
    Ok(())
}

#[test]
fn every_part_of_the_stack_exists() -> Result<()> {
    let stack = stack()?;
    let services = services(&stack)?;
    let dockerfile = std::fs::read_to_string(repo_root().join("Dockerfile"))?;
    let volumes = stack["volumes"].as_object().context("volumes")?;
    let table = run(&binary("forge"), &["config", "--table"])?;
    for (name, service) in services {
        if let Some(build) = service["build"].as_object() {
            assert_eq!(build["context"], ".", "{name}");
            let target = build["target"].as_str().context("a target")?;
            assert!(
                dockerfile.contains(&format!(" AS {target}\n")),
                "{name}: the Dockerfile has no stage {target}"
            );
        }
        for volume in words(&service["volumes"]) {
            let source = volume.split(':').next().unwrap_or_default();
            assert!(volumes.contains_key(source), "{name}: volume {source} is not declared");
        }
        let after = service["depends_on"].as_object().into_iter().flatten();
        for (other, how) in after {
            let other_service = services.get(other).with_context(|| format!("{name} waits for {other}"))?;
            match how["condition"].as_str() {
                Some("service_healthy") => {
                    assert!(other_service["healthcheck"].is_object(), "{other} has no health check")
                }
                Some("service_completed_successfully") => {
                    assert_eq!(other_service["restart"], "no", "{other} ends")
                }
                condition => bail!("{name} waits for {other} in an unknown way: {condition:?}"),
            }
        }
        for key in environment(service).keys().filter(|key| key.starts_with("FORGE_")) {
            assert!(table.contains(&format!("`{key}`")), "{name}: FORGE takes no {key}");
        }
        let said = command(name, service);
        match said[0].as_str() {
            "forge" => {
                run(&binary("forge"), &[&said[1], "--help"])?;
            }
            script if script.starts_with("/usr/local/lib/anvil/") => {
                let file = repo_root()
                    .join("scripts/stack")
                    .join(script.trim_start_matches("/usr/local/lib/anvil/"));
                let mode = std::fs::metadata(&file)
                    .with_context(|| file.display().to_string())?
                    .permissions()
                    .mode();
                assert!(mode & 0o100 != 0, "{} cannot be run", file.display());
            }
            _ => {}
        }
        // What is open to the machine is what the service listens on.
        for port in words(&service["ports"]) {
            let inside = port.rsplit(':').next().unwrap_or_default();
            let listens = environment(service).values().any(|value| value.ends_with(&format!(":{inside}")));
            assert!(listens && port.starts_with("127.0.0.1:"), "{name}: port {port}");
        }
    }
    Ok(())
}

#[test]
fn every_path_that_the_image_copies_exists() -> Result<()> {
    let dockerfile = std::fs::read_to_string(repo_root().join("Dockerfile"))?;
    let ignored = std::fs::read_to_string(repo_root().join(".dockerignore"))?;
    for line in
        dockerfile.lines().filter_map(|l| l.strip_prefix("COPY ")).filter(|l| !l.starts_with("--from"))
    {
        let source = line.split_whitespace().next().unwrap_or_default();
        assert!(repo_root().join(source).exists(), "the Dockerfile copies {source}");
        let top = source.split('/').next().unwrap_or_default();
        assert!(top == "." || ignored.contains(&format!("!{top}\n")), ".dockerignore keeps {top} out");
    }
    // Every crate of the workspace must be in what is sent to the builder, or cargo refuses.
    let manifest = std::fs::read_to_string(repo_root().join("Cargo.toml"))?;
    let members = manifest.lines().find(|l| l.starts_with("members")).context("members")?;
    for member in members.split('"').skip(1).step_by(2) {
        let top = member.split('/').next().unwrap_or_default();
        assert!(ignored.contains(&format!("!{top}\n")), ".dockerignore keeps {top} out");
    }
    for bin in dockerfile.split("--bin ").skip(1).filter_map(|rest| rest.split_whitespace().next()) {
        assert!(binary(bin).is_file(), "the Dockerfile builds {bin}");
    }
    Ok(())
}

/// Paths and addresses of the containers, and what stands for them on this machine.
struct Here {
    replaced: Vec<(String, String)>,
}

impl Here {
    fn text(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// A service's own command with its own environment, here.
    fn command(&self, stack: &Value, name: &str) -> Result<tokio::process::Command> {
        let service = services(stack)?.get(name).with_context(|| format!("service {name}"))?;
        let said = command(name, service);
        let program = match said[0].as_str() {
            "forge" | "example-service" => binary(&said[0]),
            script => PathBuf::from(self.text(script)),
        };
        let mut command = tokio::process::Command::new(program);
        let path = std::env::join_paths(
            [binary("forge").parent().unwrap_or(Path::new("")).to_path_buf()]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        )?;
        command
            .args(said[1..].iter().map(|word| self.text(word)))
            .env_clear()
            .env("PATH", path)
            .envs(environment(service).into_iter().map(|(k, v)| (k, self.text(&v))))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Runs a one-shot service to its end.
    async fn complete(&self, stack: &Value, name: &str, more: &[&str]) -> Result<()> {
        let done = self.command(stack, name)?.args(more).output().await?;
        let said = [done.stdout, done.stderr].concat();
        ensure!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&said));
        Ok(())
    }

    /// Waits until a service's own health check says yes.
    async fn healthy(&self, stack: &Value, name: &str) -> Result<()> {
        let service = &services(stack)?[name];
        let check = words(&service["healthcheck"]["test"]);
        ensure!(check.first().is_some_and(|c| c == "CMD"), "{name}: the check is a command");
        let variables: Vec<_> = environment(service).into_iter().map(|(k, v)| (k, self.text(&v))).collect();
        until(&format!("{name} is healthy"), secs(180), async || {
            let mut command = tokio::process::Command::new(binary(&check[1]));
            command.args(&check[2..]).env_clear().envs(variables.iter().cloned());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.status().await.ok()?.success().then_some(())
        })
        .await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stack_runs_by_its_own_commands_and_serves_a_prompt() -> Result<()> {
    let stack = stack()?;
    let place = tempfile::Builder::new().prefix("anvil-stack-").tempdir()?;
    let at = |name: &str| place.path().join(name).display().to_string();
    for folder in ["run", "forge", "connection", "nats-files", "prompts"] {
        std::fs::create_dir_all(at(folder))?;
    }
    let cluster = Postgres::start();
    let database = cluster.database();
    let (forge, nats, example) = (free_port()?, free_port()?, free_port()?);
    let scripts = repo_root().join("scripts/stack").display().to_string();
    let pairs = [
        ("/usr/local/lib/anvil", scripts),
        ("/run/anvil", at("run")),
        ("/etc/anvil/nats", at("nats-files")),
        ("/var/lib/connection", at("connection")),
        ("/var/lib/anvil", at("forge")),
        ("postgres://forge@postgres:5432/forge", database),
        ("nats://nats:4222", format!("nats://127.0.0.1:{nats}")),
        ("0.0.0.0:7450", format!("127.0.0.1:{forge}")),
        ("127.0.0.1:7450", format!("127.0.0.1:{forge}")),
        ("0.0.0.0:8090", format!("127.0.0.1:{example}")),
    ];
    let here = Here { replaced: pairs.map(|(from, to)| (from.to_owned(), to)).into() };

    here.complete(&stack, "secrets", &[]).await?;
    let key = std::fs::read(at("run/master-key"))?;
    here.complete(&stack, "secrets", &[]).await?;
    assert_eq!(std::fs::read(at("run/master-key"))?, key, "a second start keeps the secrets");

    here.complete(&stack, "broker-files", &[]).await?;
    let _broker =
        ExternalBroker::start(Path::new(&at("nats-files")), &place.path().join("nats"), nats).await?;

    let log = std::fs::File::create(at("log"))?;
    let _forge = here.command(&stack, "forge")?.stdout(log.try_clone()?).stderr(log.try_clone()?).spawn()?;
    here.healthy(&stack, "forge").await?;

    // In the image the prompts stand where the script looks by itself.
    let prompts = repo_root().join("examples/service/prompts").display().to_string();
    here.complete(&stack, "first-project", &[&prompts]).await?;
    here.complete(&stack, "first-project", &[&prompts]).await.context("a second start changes nothing")?;

    let _example = here.command(&stack, "example")?.stdout(log.try_clone()?).stderr(log).spawn()?;
    here.healthy(&stack, "example").await?;
    let answer =
        reqwest::get(format!("http://127.0.0.1:{example}/greet?name=Ada")).await?.error_for_status()?;
    let text = answer.text().await?;
    assert!(text.contains("Hello Ada"), "{text}");

    // The functions that the service calls are those of the version that the stack publishes.
    let module = repo_root().join("examples/service/src/prompts.rs");
    let variables = environment(&services(&stack)?["example"]);
    let said = tokio::process::Command::new(binary("live"))
        .args(["codegen", "--language", "rust", "--set", "welcome"])
        .env_clear()
        .env("HOME", place.path())
        .envs(variables.into_iter().map(|(k, v)| (k, here.text(&v))))
        .output()
        .await?;
    ensure!(said.status.success(), "live codegen: {}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(
        std::fs::read_to_string(&module)?,
        String::from_utf8(said.stdout)?,
        "{} is not what \"live codegen\" writes (left: the file)",
        module.display()
    );

    let wrong = reqwest::get(format!("http://127.0.0.1:{example}/greet")).await?;
    assert_eq!(wrong.status().as_u16(), 422);
    assert!(wrong.text().await?.contains("name"), "the missing parameter is named");
    Ok(())
}

fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let done = Command::new(program).args(arguments).output()?;
    ensure!(
        done.status.success(),
        "{} {arguments:?}: {}",
        program.display(),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(String::from_utf8(done.stdout)?)
}
