//! `forge`: where prompts are written, locked and published.

mod admin;
mod agents;
mod arguments;
mod audit;
mod keys;
mod prompts;
mod remote;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context as _;
use forge_api::config::{Config, ConfigError, LogFormat};
use forge_api::state::AppState;
use forge_api::{config, demo, republish, request, run};

use arguments::{Arguments, Command, User};

/// Bad configuration, as `sysexits.h` numbers it.
const BAD_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let config = match arguments.config() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("forge: {}", chain(&error));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let serves = matches!(arguments.command, Command::Serve | Command::Demo { .. });
    let checked = match &arguments.command {
        _ if serves => config.check_listen(),
        command if begins(command) => Ok(()),
        _ => config.check_begun(),
    };
    if let Err(error) = checked.and_then(|()| log(&config)) {
        eprintln!("forge: {}", chain(&error));
        return ExitCode::from(BAD_CONFIGURATION);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("forge: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (verb, asked) = match arguments.command {
        Command::Push(asked) => (remote::Verb::Push, asked),
        Command::Pull(asked) => (remote::Verb::Pull, asked),
        Command::Diff(asked) => (remote::Verb::Diff, asked),
        other => return done(&runtime.block_on(act(config, other))),
    };
    match runtime.block_on(remote::run(verb, &asked)) {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            eprintln!("forge: {:#}", failed.why);
            ExitCode::from(failed.code)
        }
    }
}

/// Whether a command begins an installation where there is none, or needs none. The others would look at one that they
/// made themselves.
fn begins(command: &Command) -> bool {
    match command {
        Command::Serve
        | Command::Demo { .. }
        | Command::Migrate
        | Command::Config { .. }
        | Command::Health { .. }
        | Command::NatsConfig { .. }
        | Command::User(User::Add { .. })
        | Command::Project { .. }
        | Command::Seed
        | Command::Push(_)
        | Command::Pull(_)
        | Command::Diff(_) => true,
        Command::Verify(asked) => !asked.root.is_empty(),
        Command::User(_)
        | Command::Audit(_)
        | Command::Agents(_)
        | Command::Keys(_)
        | Command::Credential(_)
        | Command::Bundle { .. }
        | Command::Republish
        | Command::Restored { .. }
        | Command::Import(_)
        | Command::Export(_) => false,
    }
}

fn done(result: &anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chain(error: &ConfigError) -> String {
    forge_api::error::chain(error)
}

fn log(config: &Config) -> Result<(), ConfigError> {
    let bad = |e: &dyn std::fmt::Display| ConfigError::Value {
        key: "log",
        variable: "FORGE_LOG",
        detail: format!("{:?} is no filter: {e}", config.log),
    };
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log).map_err(|e| bad(&e))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(coloured(&std::io::stderr()));
    match config.log_format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.try_init(),
    }
    .map_err(|e| bad(&e))
}

/// Whether people look at it, and like colours.
fn coloured(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !set("NO_COLOR") && !dumb
}

/// So many of something: `1 entry`, `2 entries`.
fn counted<N: std::fmt::Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let what = if count == N::from(1) { one } else { many };
    format!("{count} {what}")
}

/// Opens the database for a command that runs beside, or without, a serving FORGE.
async fn open(config: Config) -> anyhow::Result<AppState> {
    let url = config.public_url.clone().unwrap_or_else(|| format!("{}://{}", config.scheme(), config.listen));
    AppState::open(config, url).await.context("opening the database and the keys")
}

async fn act(config: Config, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => run::serve(config).await,
        Command::Demo { patterns, check } => demo::run(config, &demo::Options { patterns, check }).await,
        Command::Migrate => {
            open(config).await?;
            println!("the database is up to date");
            Ok(())
        }
        Command::Config { table } => {
            if table {
                print!("{}", config::table());
            } else {
                println!("{config:#?}");
            }
            Ok(())
        }
        Command::Health { url } => health(&config, url.as_deref()).await,
        Command::Republish => rebuild(config).await,
        Command::NatsConfig { directory } => admin::nats_config(&open(config).await?, &directory),
        Command::Audit(command) => audit::run(&open(config).await?, command).await,
        Command::User(command) => admin::user(&open(config).await?, command).await,
        Command::Project { path, name } => admin::project(&open(config).await?, &path, &name).await,
        Command::Credential(new) => admin::credential(&open(config).await?, &new).await,
        Command::Agents(command) => agents::run(&open(config).await?, command).await,
        Command::Keys(command) => keys::keys(&open(config).await?, command).await,
        Command::Bundle { path, environment, out } => {
            keys::bundle(&open(config).await?, &path, &environment, &out).await
        }
        Command::Verify(asked) => keys::verify(config, &asked).await,
        Command::Restored { skip } => {
            let raised = forge_api::serial::restored(&open(config).await?, skip).await?;
            println!("{} raised by {skip}", counted(raised, "serial", "serials"));
            Ok(())
        }
        Command::Seed => admin::seed(&open(config).await?).await,
        Command::Import(import) => prompts::import(&open(config).await?, &import).await,
        Command::Export(export) => prompts::export(&open(config).await?, &export).await,
        Command::Push(_) | Command::Pull(_) | Command::Diff(_) => {
            anyhow::bail!("this is asked of a FORGE elsewhere, without a database")
        }
    }
}

/// Asks a serving FORGE whether it is ready.
async fn health(config: &Config, url: Option<&str>) -> anyhow::Result<()> {
    let address = match url {
        None => std::net::SocketAddr::new(loopback(config.listen.ip()), config.listen.port()),
        Some(url) => {
            let host = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
            let mut found =
                tokio::net::lookup_host(host).await.with_context(|| format!("looking up {host}"))?;
            found.next().with_context(|| format!("{host} has no address"))?
        }
    };
    let request = request::Request::new(request::Method::Get, "/health/ready");
    let answer = match forge_api::tls::served_certificate(config) {
        // Ours and no other: the file says which.
        Some(certificate) => request.send_over_tls(address, certificate).await?,
        None => request.send(address).await?,
    };
    println!("{}", answer.text());
    anyhow::ensure!(answer.status == 200, "not ready");
    Ok(())
}

/// What is served on every address is asked for on the loopback.
fn loopback(ip: std::net::IpAddr) -> std::net::IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    if ip.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() }
}

/// Rebuilds accounts, streams and messages, with the running broker or one started for it.
async fn rebuild(config: Config) -> anyhow::Result<()> {
    let state = open(config).await?;
    let stop = tokio_util::sync::CancellationToken::new();
    let broker = tokio::spawn(forge_api::broker::run_beside(state.clone(), stop.clone()));
    let done = republish::all(&state).await;
    stop.cancel();
    broker.await.context("the broker's task")?;
    let done = done?;
    let there = if done.there == 1 { "was" } else { "were" };
    println!(
        "{} sent again, {} {there} there",
        counted(done.sent, "publication", "publications"),
        done.there
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_told_as_one() {
        assert_eq!(counted(1_i64, "entry", "entries"), "1 entry");
        assert_eq!(counted(0_usize, "file", "files"), "0 files");
        assert_eq!(counted(2_usize, "file", "files"), "2 files");
    }
}
