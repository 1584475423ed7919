//! Texts about this program that are made from it: completions, manual pages, the table of commands.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;
use serde_json::json;

use crate::exit::{CODES, Failure};
use crate::show;

const NAME: &str = "live";

pub(crate) fn completions(mut command: Command, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut script);
    show::text(&String::from_utf8_lossy(&script))
}

/// One page for the program and one for each command: `man -l live-bundle-pull.1`.
pub(crate) fn man(command: Command, folder: &Path, json: bool) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    clap_mangen::generate_to(command, folder).with_context(|| format!("writing to {}", folder.display()))?;
    if json {
        return show::json(&json!({ "folder": folder }));
    }
    Ok(())
}

/// Every command, and every exit code, in Markdown.
pub(crate) fn table(mut command: Command) -> Result<(), Failure> {
    command.build();
    let mut out = String::from("| command | what |\n|---|---|\n");
    rows(&command, NAME, &mut out);
    out.push_str("\n| exit code | meaning |\n|---|---|\n");
    for (code, what) in CODES {
        let _ = writeln!(out, "| {code} | {what} |");
    }
    show::text(&out)
}

fn rows(command: &Command, path: &str, out: &mut String) {
    for one in command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help") {
        let path = format!("{path} {}", one.get_name());
        if one.has_subcommands() {
            rows(one, &path, out);
            continue;
        }
        let own = one.get_arguments().filter(|a| {
            !a.is_hide_set() && !a.is_global_set() && !["help", "version"].contains(&a.get_id().as_str())
        });
        let arguments: Vec<String> = own.map(written).collect();
        let what = one.get_about().map(ToString::to_string).unwrap_or_default();
        let usage = [&[path][..], &arguments].concat().join(" ");
        let _ = writeln!(out, "| `{}` | {} |", usage.replace('|', "\\|"), what.replace('\n', " "));
    }
}

fn written(argument: &clap::Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default();
    let value = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let takes = argument.get_action().takes_values();
    let plain = match argument.get_long() {
        Some(long) if takes => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    };
    if argument.is_required_set() { plain } else { format!("[{plain}]") }
}
