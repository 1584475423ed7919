//! What `live` writes about itself: completions and manual pages.

use std::process::Command;

use anyhow::{Context as _, Result};
use tests::tools;

fn live(arguments: &[&str]) -> Result<String> {
    let done = Command::new(tools::binary("live")).args(arguments).env_clear().output()?;
    anyhow::ensure!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8(done.stdout)?)
}

#[test]
fn completions_are_made_for_each_shell_and_bash_completes_a_command_with_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (shell, begins) in [("zsh", "#compdef live"), ("fish", "#"), ("bash", "_live() {")] {
        let script = live(&["completions", shell])?;
        assert!(script.starts_with(begins), "{shell}: {}", &script[..80]);
        assert!(script.contains("doctor") && script.contains("cache-dir"), "{shell}");
        std::fs::write(folder.path().join(shell), script)?;
    }
    let file = folder.path().join("bash");
    assert!(Command::new("bash").arg("-n").arg(&file).status()?.success());
    for (words, wanted) in
        [("live doc", "doctor"), ("live bundle pu", "pull"), ("live bundle pull --o", "--out")]
    {
        let last = words.split(' ').next_back().context("a word")?;
        let script = format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _live live '{last}' ''; echo \"${{COMPREPLY[*]}}\"",
            file.display()
        );
        let done = Command::new("bash").args(["--norc", "-c", &script]).output()?;
        let said = String::from_utf8(done.stdout)?;
        assert!(said.split_whitespace().any(|word| word == wanted), "{words}: {said:?}");
    }
    Ok(())
}

#[test]
fn there_is_a_manual_page_for_each_command_and_it_can_be_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().to_str().context("a path")?;
    live(&["man", "--out", out])?;
    for page in ["live.1", "live-connect.1", "live-bundle-pull.1", "live-config-check.1", "live-doctor.1"] {
        let text = std::fs::read_to_string(folder.path().join(page)).with_context(|| page.to_owned())?;
        assert!(text.lines().any(|line| line.starts_with(".TH live")), "{page}: {text}");
    }
    if let Some(man) = tools::find("man", &[]) {
        let page = folder.path().join("live.1");
        let read =
            Command::new(man).arg("-l").arg(&page).env("MANPAGER", "cat").env("PAGER", "cat").output()?;
        let said = String::from_utf8_lossy(&read.stdout).into_owned();
        // A machine without its formatter says so, and shows nothing.
        assert!(!read.status.success() || said.is_empty() || said.contains("doctor"), "{said}");
    }
    Ok(())
}
