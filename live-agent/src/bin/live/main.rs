//! `live`: an agent on the command line.

use std::process::ExitCode;

mod ask;
mod connect;
mod options;
mod run;
mod show;

use clap::{Parser, Subcommand};
use live_agent::config::parse_mode;
use live_agent::{ConfigError, Mode};

use options::Options;

const EXIT_CODES: &str = "Exit codes:
  0   done
  1   it failed; the message says why
  2   wrong usage
  64  bad configuration; the message names the key
  69  unavailable: the broker cannot be reached, or nothing is served yet";

/// Gives a service its prompts: follows what FORGE publishes, keeps it, renders it.
#[derive(Debug, Parser)]
#[command(name = "live", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Takes a connect string from FORGE (from the terminal or standard input, never from the
    /// command line), tries it, and keeps it as a profile
    Connect {
        /// Taken only to be refused: a shell keeps what it was told.
        #[arg(hide = true, num_args = 0..)]
        never: Vec<String>,
    },
    /// Runs an agent in the foreground
    Run(run::Run),
    /// Shows mode, connection, and what is served
    Status {
        /// As counts for a monitor, in the Prometheus text form
        #[arg(long)]
        metrics: bool,
    },
    /// Shows the mode, or sets it: accepting or frozen
    Mode {
        #[arg(value_parser = mode)]
        mode: Option<Mode>,
    },
    /// Reconciles with the broker now; in FROZEN, takes up once what waits
    Sync {
        /// Takes up nothing, and says what would be
        #[arg(long)]
        check: bool,
    },
    /// Lists the prompts that are served
    List,
    /// Shows a prompt as its author wrote it
    Get {
        /// The prompt's id, or @set/id
        id: String,
    },
    /// Renders a prompt
    Prompt(ask::Prompt),
    /// Checks a file of "forge bundle" or "live bake" offline, and prints the chain
    Verify {
        /// The file
        file: std::path::PathBuf,
        /// A root to trust [default: those of the connect file]
        #[arg(long)]
        root: Vec<String>,
    },
    /// Writes what is served to a file that an image can carry
    Bake {
        /// The file to write
        file: std::path::PathBuf,
    },
}

fn mode(text: &str) -> Result<Mode, String> {
    parse_mode(text).map_err(|error| error.to_string())
}

/// What went wrong, by what the caller can do about it.
#[derive(Debug)]
enum Failure {
    Usage(String),
    Configuration(String),
    Unavailable(String),
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(format!("{:#}", anyhow::Error::new(error)))
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A reader that went away (`live list | head`) ends the command, not with a complaint.
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return end(Failure::Other(error.into())),
    };
    let result = runtime.block_on(dispatch(cli));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(failure),
    }
}

fn end(failure: Failure) -> ExitCode {
    let (code, message) = match failure {
        Failure::Usage(message) => (2, message),
        Failure::Configuration(message) => (64, message),
        Failure::Unavailable(message) => (69, message),
        Failure::Other(error) => (1, format!("{error:#}")),
    };
    eprintln!("live: {message}");
    ExitCode::from(code)
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    if let Command::Connect { never } = &cli.command
        && !never.is_empty()
    {
        return Err(Failure::Usage(connect::NEVER_AN_ARGUMENT.into()));
    }
    let default_log =
        if matches!(cli.command, Command::Run(_)) { "warn,live_agent=info,live=info" } else { "error" };
    options::log(cli.options.log.as_deref().unwrap_or(default_log), cli.options.json)?;
    let options = cli.options.resolve()?;
    match cli.command {
        Command::Connect { .. } => connect::connect(&options).await,
        Command::Run(run) => run.run(&options).await,
        Command::Status { metrics } => ask::status(&options, metrics).await,
        Command::Mode { mode } => ask::mode(&options, mode).await,
        Command::Sync { check } => ask::sync(&options, check).await,
        Command::List => ask::list(&options).await,
        Command::Get { id } => ask::get(&options, id).await,
        Command::Prompt(prompt) => prompt.show(&options).await,
        Command::Verify { file, root } => ask::verify(&options, &file, root),
        Command::Bake { file } => ask::bake(&options, &file).await,
    }
}
