//! The command line. The options of the configuration come from its own table.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command as Parser, FromArgMatches as _, Subcommand};
use forge_api::config::{Config, ConfigError, OPTIONS};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves the pages and the API, and runs the broker unless there is an external one
    Serve,
    /// Shows the whole line on real parts, with an agent as a second process
    Demo {
        /// A folder of prompts to import
        #[arg(long, default_value = "examples/fabric-patterns")]
        patterns: PathBuf,
        /// Edits, publishes, sees the agent change, and ends: exit code 0 when all of it worked
        #[arg(long)]
        check: bool,
    },
    /// Brings the database up to date, and ends
    Migrate,
    /// Shows the configuration, or the table of all options
    Config {
        /// The table of the documentation
        #[arg(long)]
        table: bool,
    },
    /// Asks a serving FORGE whether it is ready: exit code 0 if it is
    Health {
        /// Where it serves [default: the option listen]
        #[arg(long)]
        url: Option<String>,
    },
    /// Rebuilds the broker's accounts, streams and messages from the database
    Republish,
    /// Writes the configuration of an external broker
    NatsConfig {
        /// The folder to write to
        directory: PathBuf,
    },
    /// Users and how they come in
    #[command(subcommand)]
    User(User),
    /// The audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Creates a project, and its organisation where it is new
    Project {
        /// organisation/project
        path: String,
        /// Its name for people
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Makes a credential and writes its two files
    Credential(Credential),
    /// Agents, and whether they take up what is published
    #[command(subcommand)]
    Agents(Agents),
    /// The keys that agents have to do with
    #[command(subcommand)]
    Keys(Keys),
    /// Writes what is live of a set, with its signatures, to one file
    Bundle {
        /// organisation/project/set
        path: String,
        #[arg(long, default_value = "prod")]
        environment: String,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Checks a file of `forge bundle` offline, and prints the chain
    Verify(Verify),
    /// After a database was restored from a backup: goes on with higher serials
    Restored {
        /// How many serials are skipped: more than were published since the backup
        #[arg(long, default_value_t = 1000)]
        skip: i64,
    },
    /// For development: an organisation with people of every role and sets in every state
    Seed,
    /// Writes a folder or a file of prompts into a set's draft, or an archive into a set or a project
    Import(Import),
    /// Writes a set's draft into a folder or a file, or all of a set or a project into an archive
    Export(Export),
    /// Brings a folder of prompts into the draft of a set of a FORGE elsewhere: what nobody changed there
    Push(Remote),
    /// Brings the draft of a set of a FORGE elsewhere into a folder: what nobody changed here
    Pull(Remote),
    /// Says how a folder differs from the draft of a set of a FORGE elsewhere: exit code 0 if not at all, 1 if it does
    Diff(Remote),
}

/// A folder, and the FORGE that it belongs to.
#[derive(Debug, clap::Args)]
pub(crate) struct Remote {
    /// The folder, with its `forge.toml`
    pub(crate) directory: PathBuf,
    /// Where FORGE is [default: url of `forge.toml`]
    #[arg(long, env = "FORGE_URL")]
    pub(crate) url: Option<String>,
    /// An API token; say it in the environment, not here
    #[arg(long, env = "FORGE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Certificates (PEM) of who signed that of FORGE [default: those that the system trusts]
    #[arg(long, env = "FORGE_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// organisation/project/set [default: project and set of `forge.toml`]
    #[arg(long)]
    pub(crate) set: Option<String>,
    /// Replaces what was changed on the other side too
    #[arg(long)]
    pub(crate) force: bool,
    /// One JSON value on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Creates a user
    Add {
        email: String,
        #[arg(long, default_value = "")]
        name: String,
        /// A file with the password [default: none; the user signs in by link]
        #[arg(long)]
        password_file: Option<PathBuf>,
        /// An organisation that the user belongs to; it is created where it is new
        #[arg(long)]
        organisation: Option<String>,
        /// owner, admin, context_engineer, reviewer or viewer
        #[arg(long, default_value = "owner")]
        role: String,
    },
    /// Prints a link that signs a user in once
    SignInLink { email: String },
    /// Prints an API token of a user
    Token {
        email: String,
        #[arg(long)]
        organisation: String,
        /// The most that the token may do
        #[arg(long, default_value = "owner")]
        role: String,
        #[arg(long, default_value = "console")]
        name: String,
        /// What it may be used for besides reading: edit, review, publish or manage; several times
        /// [default: all of them]
        #[arg(long)]
        scope: Vec<String>,
        /// Slug of a project that it reaches; several times [default: all that the user reaches, now and later]
        #[arg(long)]
        project: Vec<String>,
        /// How long it is valid, or `never`
        #[arg(long, default_value = "90")]
        expires_days: String,
    },
    /// Takes a user out of an organisation; tokens for it are void
    Remove {
        email: String,
        #[arg(long)]
        organisation: String,
    },
    /// Shuts a user out: sessions end, links and tokens are void
    Disable { email: String },
    /// Lets a user in again, who needs new tokens
    Enable { email: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Checks the chain of every organisation and of the installation: exit code 0 if they are whole
    Verify {
        /// Only this organisation
        #[arg(long)]
        organisation: Option<String>,
        /// So many entries at the beginning may be unsealed, from before entries were sealed
        #[arg(long, default_value_t = 0)]
        unsealed: i64,
    },
    /// Writes a whole chain with its hashes as JSON Lines
    Export {
        /// The organisation [default: the chain of the installation]
        #[arg(long)]
        organisation: Option<String>,
        /// The file to write to [default: standard output]
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Agents {
    /// Shows the orders that stand, and the agents
    List {
        /// organisation/project
        #[arg(long)]
        project: String,
        /// Only this environment
        #[arg(long)]
        environment: Option<String>,
        /// One JSON value: orders and agents, as the API gives them
        #[arg(long)]
        json: bool,
    },
    /// Tells agents to go on serving what they have, and to take up nothing that is published
    Freeze(Whom),
    /// Tells agents to take up what is published, and what was published meanwhile
    Thaw(Whom),
    /// Withdraws the order that stands: nobody is told it any more, and no agent's mode changes
    Withdraw {
        /// organisation/project
        #[arg(long)]
        project: String,
        #[arg(long)]
        environment: String,
        /// The order to this agent [default: the one to all of the environment]
        #[arg(long, conflicts_with = "service")]
        agent: Option<String>,
        /// The order to the agents of this service
        #[arg(long)]
        service: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("where").required(true)))]
pub(crate) struct Whom {
    /// organisation/project
    #[arg(long)]
    pub(crate) project: String,
    #[arg(long, group = "where")]
    pub(crate) environment: Option<String>,
    /// Every environment of the project
    #[arg(long, group = "where")]
    pub(crate) fleet: bool,
    /// Only this agent [default: all of the environment]
    #[arg(long, requires = "environment", conflicts_with = "service")]
    pub(crate) agent: Option<String>,
    /// Only the agents of this service
    #[arg(long, requires = "environment")]
    pub(crate) service: Option<String>,
    /// Why, for people and the audit log
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Shows the roots, or the publishing keys of a project
    List {
        /// organisation/project
        #[arg(long)]
        project: Option<String>,
    },
    /// Makes the next key; what the old one signed goes on counting, and agents follow by themselves
    #[command(group(clap::ArgGroup::new("which").required(true)))]
    Rotate {
        /// The publishing key of organisation/project
        #[arg(long, group = "which")]
        project: Option<String>,
        /// The root
        #[arg(long, group = "which")]
        root: bool,
    },
    /// Ends the trust in a key; what is live of it is signed again
    Revoke {
        /// The public key, as `forge keys list` shows it
        key: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
        /// organisation/project of a publishing key that this database does not know
        #[arg(long)]
        project: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The file
    pub(crate) file: PathBuf,
    /// A root to trust, from a connect file or `forge keys list` [default: those of this installation]
    #[arg(long)]
    pub(crate) root: Vec<String>,
    /// organisation/project/environment that it must have been published to
    #[arg(long)]
    pub(crate) scope: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Credential {
    /// organisation/project
    #[arg(long)]
    pub(crate) project: String,
    #[arg(long, default_value = "prod")]
    pub(crate) environment: String,
    /// Which service it is for; the files are named after it
    #[arg(long)]
    pub(crate) name: String,
    /// Writes `<name>.creds` and `<name>.connect.json` here
    #[arg(long, conflicts_with = "out")]
    pub(crate) directory: Option<PathBuf>,
    /// Writes the connect string to this file
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// For a person with the `nats` CLI instead of an agent
    #[arg(long)]
    pub(crate) inspect: bool,
    /// What it is for, for people
    #[arg(long, default_value = "")]
    pub(crate) purpose: String,
    /// How many days it is good, or never [default: 90]
    #[arg(long, value_name = "DAYS")]
    pub(crate) expires: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The folder of prompts, or a file: an archive, or what another tool writes
    pub(crate) folder: PathBuf,
    /// organisation/project/set; the set is created where it is new. organisation/project takes all sets of an archive
    pub(crate) path: String,
    /// What the folder or file is [default: found out]
    #[arg(long, value_parser = ["archive", "folder", "dotprompt", "prompty", "langfuse", "mlflow", "openai", "langchain", "liquid"])]
    pub(crate) format: Option<String>,
    /// What becomes of what stands there otherwise
    #[arg(long, value_parser = ["replace", "keep", "careful"], default_value = "replace")]
    pub(crate) existing: String,
    /// Locks the draft as this version
    #[arg(long)]
    pub(crate) lock: Option<String>,
    /// Publishes that version to this environment
    #[arg(long, requires = "lock")]
    pub(crate) publish: Option<String>,
    /// Publishes although this service was built for something else; once for each of them
    #[arg(long, requires = "publish", value_name = "SERVICE")]
    pub(crate) accept_broken: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// organisation/project/set, or organisation/project
    pub(crate) path: String,
    /// The folder to write to, or a file: of a format that is one file, or whose name ends with .zip
    pub(crate) to: PathBuf,
    /// What to write [default: archive where the name ends with .zip, otherwise folder]
    #[arg(long, value_parser = ["archive", "folder", "dotprompt", "prompty", "langfuse", "mlflow", "openai", "langchain", "liquid"])]
    pub(crate) format: Option<String>,
}

/// What was asked on the command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    options: ArgMatches,
}

impl Arguments {
    /// Reads the command line; ends the process where it cannot be understood.
    pub(crate) fn read() -> Self {
        let mut parser = Parser::new("forge")
            .version(env!("CARGO_PKG_VERSION"))
            .about("Where prompts are written, locked and published")
            .after_help(
                "Exit codes: 0 done, 1 not done or (diff, pull) it differs, 2 wrong usage or (push, pull) refused, 64 bad configuration.\n\
                 Each option can be set by its variable too; see `forge config --table`.",
            )
            .subcommand_required(true);
        for option in OPTIONS {
            let help = format!("{} [{}]", option.help, option.variable);
            let mut arg = Arg::new(option.key)
                .long(option.key)
                .global(true)
                .hide_short_help(true)
                .value_name("VALUE")
                .help(help);
            if option.is_switch() {
                // The flag alone says yes.
                arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
            }
            parser = parser.arg(arg);
        }
        let options = Command::augment_subcommands(parser).get_matches();
        match Command::from_arg_matches(&options) {
            Ok(command) => Self { command, options },
            Err(error) => error.exit(),
        }
    }

    /// The configuration of flags, environment and file.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let is_demo = matches!(self.command, Command::Demo { .. });
        let serves = matches!(self.command, Command::Serve);
        let deepest =
            self.options.subcommand().map_or(&self.options, |(_, m)| m.subcommand().map_or(m, |(_, m)| m));
        let flags = |key: &str| {
            deepest.try_get_one::<String>(key).ok().flatten().cloned().or_else(|| match key {
                // The demo keeps apart from the real thing; what ends by itself says little.
                "data-dir" if is_demo && std::env::var_os("FORGE_DATA_DIR").is_none() => {
                    Some("data/demo".into())
                }
                "log" if !serves && std::env::var_os("FORGE_LOG").is_none() => Some("warn".into()),
                _ => None,
            })
        };
        Config::load(&flags, &|variable| std::env::var(variable).ok())
    }
}
