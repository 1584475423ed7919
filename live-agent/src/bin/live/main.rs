//! `live`: an agent on the command line.

use std::path::PathBuf;
use std::process::ExitCode;

mod ask;
mod bundle;
mod change;
mod codegen;
mod configure;
mod connect;
mod dev;
mod doctor;
mod ends;
mod exit;
mod generate;
mod log;
mod options;
#[cfg(feature = "otel")]
mod otel;
mod run;
mod serve;
mod show;

use clap::{CommandFactory as _, Parser, Subcommand};
use live_agent::Mode;
use live_agent::config::options::Given;
use live_agent::config::parse_mode;
use schemas::Slug;

use exit::Failure;
use options::{Gathered, Options};

/// Gives a service its prompts: follows what FORGE publishes, keeps it, renders it.
///
/// Settings come from flags, then the environment, then a file, then a preset: "live config table" lists
/// them, and each command's --help.
#[derive(Debug, Parser)]
#[command(name = "live", version, after_help = exit::help())]
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
        /// Replaces a profile that connects to something else, or trusts other roots
        #[arg(long)]
        force: bool,
        /// Taken only to be refused: a shell keeps what it was told.
        #[arg(hide = true, num_args = 0..)]
        never: Vec<String>,
    },
    /// Runs an agent in the foreground
    Run(run::Run),
    /// Serves an agent to other programs, by HTTP on this machine
    Serve(serve::Serve),
    /// Runs an agent with prompts of a folder before what FORGE published; says what is overridden, and takes
    /// up each save
    Dev(dev::Dev),
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
    /// Takes up only those versions of a set that fit; without versions, shows the pins
    Pin(change::Pin),
    /// Takes up all versions of a set again
    Unpin {
        /// The set
        set: Slug,
    },
    /// Shows what would change if what waits (in FROZEN, or for a pin) were taken up
    Diff {
        /// Of this set only
        set: Option<Slug>,
    },
    /// Shows what the stream still has, each verified
    History {
        /// Of this set only
        set: Option<Slug>,
    },
    /// Lists the prompts that are served
    List {
        /// Of this set only
        #[arg(long)]
        set: Option<Slug>,
    },
    /// Finds prompts by words in their address, description, tags, parameters or text
    Search {
        /// Each has to be there, in whatever case
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Shows a prompt as its author wrote it
    Get {
        /// The prompt's id, or @set/id
        id: String,
    },
    /// Renders a prompt
    Prompt(ask::Prompt),
    /// Checks a file of "forge bundle" or "live bundle" offline, and prints the chain
    Verify {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        trust: bundle::Trusted,
    },
    /// Looks at everything that an agent needs, and says what to do
    Doctor,
    /// Bundles as a file that an image can carry
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    /// Writes typed functions or types for the prompts of a version
    Codegen(codegen::Codegen),
    /// Writes what is served to a file that an image can carry
    #[command(hide = true)]
    Bake {
        /// The file to write
        file: PathBuf,
    },
    /// What an agent is told: checks it, shows it, lists all there is
    #[command(subcommand)]
    Config(configure::Configure),
    /// Prints a shell's completions: live completions bash > /etc/bash_completion.d/live
    Completions { shell: clap_complete::Shell },
    /// Writes manual pages
    Man {
        /// The folder to write them into
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Prints the table of commands and exit codes, in Markdown
    #[command(hide = true)]
    Commands,
}

fn mode(text: &str) -> Result<Mode, String> {
    parse_mode(text).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A reader that went away (`live list | head`) ends the command, not with a complaint.
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit::end(Failure::Other(error.into())),
    };
    let result = runtime.block_on(dispatch(cli));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => exit::end(failure),
    }
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    if let Command::Connect { never, .. } = &cli.command
        && !never.is_empty()
    {
        return Err(Failure::Usage(connect::NEVER_AN_ARGUMENT.into()));
    }
    // What writes texts about this program needs no settings.
    match &cli.command {
        Command::Completions { shell } => return generate::completions(Cli::command(), *shell),
        Command::Man { out } => return generate::man(Cli::command(), out, cli.options.json()),
        Command::Commands => return generate::table(Cli::command()),
        _ => {}
    }
    let foreground = matches!(cli.command, Command::Run(_) | Command::Dev(_) | Command::Serve(_));
    let own = match &cli.command {
        Command::Serve(serve) => serve.0.clone(),
        _ => Given::default(),
    };
    let gathered = cli.options.gather(own)?;
    let logging = log(&gathered, foreground)?;
    let done = answer(cli.command, gathered).await;
    logging.end().await;
    done
}

async fn answer(command: Command, gathered: Gathered) -> Result<(), Failure> {
    match command {
        Command::Config(command) => return command.run(&gathered),
        Command::Doctor => return doctor::examine(gathered).await,
        _ => {}
    }
    let settings = gathered.good()?;
    match command {
        Command::Connect { force, .. } => connect::connect(&settings, force).await,
        Command::Run(run) => run.run(&settings).await,
        Command::Dev(dev) => dev.run(&settings).await,
        Command::Serve(_) => serve::run(&settings).await,
        Command::Status { metrics } => ask::status(&settings, metrics).await,
        Command::Mode { mode } => ask::mode(&settings, mode).await,
        Command::Sync { check } => change::sync(&settings, check).await,
        Command::Pin(pin) => change::pin(&settings, pin).await,
        Command::Unpin { set } => change::unpin(&settings, set).await,
        Command::Diff { set } => change::diff(&settings, set.as_ref()).await,
        Command::History { set } => change::history(&settings, set).await,
        Command::Codegen(codegen) => codegen.run(&settings),
        Command::List { set } => ask::list(&settings, set.as_ref()).await,
        Command::Search { words } => ask::search(&settings, &words).await,
        Command::Get { id } => ask::get(&settings, id).await,
        Command::Prompt(prompt) => prompt.show(&settings).await,
        Command::Verify { file, trust } => bundle::verify(&settings, &file, trust),
        Command::Bundle(bundle) => bundle.run(&settings).await,
        Command::Bake { file } => bundle::bake(&settings, &file).await,
        Command::Config(_)
        | Command::Doctor
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Commands => Ok(()),
    }
}

fn log(gathered: &Gathered, foreground: bool) -> Result<log::Logging, Failure> {
    let usual = if foreground { "warn,live_agent=info,live=info" } else { "error" };
    let settings = &gathered.settings;
    let said = settings.text("log");
    let spans = log::Spans::of(settings).filter(|_| foreground);
    log::start(said.as_deref().unwrap_or(usual), settings.json, spans)
}
