//! `docs/CONFIGURATION.md` says what the programs take, no more and no less.

use std::collections::BTreeSet;
use std::process::Command;

use tests::tools::binary;

use super::tree::{sources, text};

fn output(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(binary(program)).args(arguments).output().expect("the program runs");
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8")
}

/// The words of a text that begin like a variable of ours.
fn variables(text: &str, prefix: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|word| word.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_table_of_forge_is_the_one_that_forge_prints() {
    let document = text("docs/CONFIGURATION.md").expect("text");
    let printed = output("forge", &["config", "--table"]);
    assert!(printed.lines().count() > 10, "forge prints a table: {printed}");
    assert!(
        document.contains(printed.trim()),
        "docs/CONFIGURATION.md does not hold the table of `forge config --table`, which is now:\n{printed}"
    );
}

#[test]
fn the_table_of_live_is_the_one_that_live_prints() {
    let document = text("docs/CONFIGURATION.md").expect("text");
    let printed = output("live", &["config", "table"]);
    assert!(printed.lines().count() > 10, "live prints a table: {printed}");
    assert!(
        document.contains(printed.trim()),
        "docs/CONFIGURATION.md does not hold the table of `live config table`, which is now:\n{printed}"
    );
    // And each of them is a flag of every command, or of the sidecar alone.
    let (help, of_command) = (output("live", &["--help"]), output("live", &["bundle", "pull", "--help"]));
    let of_serve = output("live", &["serve", "--help"]);
    let (serve, all): (Vec<&str>, Vec<&str>) =
        printed.lines().partition(|line| line.starts_with("| `serve."));
    let (serve, all) = (variables(&serve.join("\n"), "LIVE_"), variables(&all.join("\n"), "LIVE_"));
    assert!(all.len() > 20 && serve.len() > 10, "{all:?} {serve:?}");
    for variable in all {
        let line = format!("[env: {variable}]");
        assert!(help.contains(&line) && of_command.contains(&line), "{line} is not in the help of live");
    }
    for variable in serve {
        let line = format!("[env: {variable}]");
        assert!(of_serve.contains(&line), "{line} is not in the help of live serve");
        assert!(!of_command.contains(&line), "{line} is of live serve alone");
    }
}

#[test]
fn the_commands_and_exit_codes_of_live_are_those_that_live_has() {
    let document = text("docs/CLI.md").expect("text");
    let printed = output("live", &["commands"]);
    for table in printed.split("\n\n") {
        assert!(table.lines().count() > 5, "live prints two tables: {printed}");
        assert!(document.contains(table.trim()), "docs/CLI.md does not hold this table:\n{table}");
    }
    let help = output("live", &["--help"]);
    let commands = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  ") || line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help");
    let commands: Vec<&str> = commands.collect();
    assert!(commands.len() > 10, "live has more commands than {commands:?}");
    for command in commands {
        assert!(
            document.contains(&format!("| `live {command}")),
            "docs/CLI.md does not say `live {command}`"
        );
    }
}

#[test]
fn no_source_reads_a_variable_that_is_not_documented() {
    let document = text("docs/CONFIGURATION.md").expect("text");
    let documented: BTreeSet<String> =
        variables(&document, "LIVE_").into_iter().chain(variables(&document, "FORGE_")).collect();
    for (file, text) in sources() {
        // Streams and accounts have names that begin alike.
        if ["tests/", "benches/", "nats-config/"].iter().any(|other| file.starts_with(other)) {
            continue;
        }
        for (number, line) in super::tree::code(&text) {
            // A variable stands alone between quotes.
            for literal in line.split('"').skip(1).step_by(2) {
                let known = ["FORGE_", "LIVE_"]
                    .iter()
                    .any(|p| literal.starts_with(p) && variables(literal, p).contains(literal));
                assert!(
                    !known || documented.contains(literal),
                    "{file}:{number}: {literal} is not documented"
                );
            }
        }
    }
}
