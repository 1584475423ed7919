//! A folder in a repository and a set in FORGE, kept together by `forge push`, `pull` and `diff`.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::forge::api::Api;
use tests::forge::{Database, Forge, ORGANISATION};

tests::on_both!(a_folder_and_a_set_are_kept_together_and_nobody_s_change_is_lost);

/// What a command printed, and its exit code.
async fn run(forge: &Forge, owner: &Api, arguments: &[&str]) -> Result<(i32, String, String)> {
    let mut command = forge.place.command(arguments);
    command.env("FORGE_URL", forge.url()).env("FORGE_TOKEN", owner.token());
    let done = command.output().await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((done.status.code().context("an exit code")?, text(done.stdout), text(done.stderr)))
}

async fn template(owner: &Api, id: &str) -> Result<String> {
    let found = owner.get(&format!("{}/prompts/{id}", owner.set())).await?.ok()?;
    Ok(found["prompt"]["content"]["template"].as_str().unwrap_or_default().to_owned())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().context("a parent")?)?;
    Ok(std::fs::write(path, text)?)
}

async fn a_folder_and_a_set_are_kept_together_and_nobody_s_change_is_lost(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.write("welcome.message", "Hello {{ name }}").await?;
    let folder = forge.directory().join("repository");
    let at = folder.display().to_string();
    let read = |name: &str| std::fs::read_to_string(folder.join(name));

    // Nothing says yet which set it is.
    let (code, _, why) = run(&forge, &owner, &["pull", &at]).await?;
    assert_eq!(code, 64, "{why}");
    let (code, out, why) = run(&forge, &owner, &["pull", &at, "--set", "acme/support/chat"]).await?;
    assert_eq!(code, 0, "{why}");
    assert!(out.contains("new       prompts/welcome.message"), "{out}");
    assert!(read("forge.toml")?.contains("project = \"acme/support\"\nset = \"chat\""));
    assert!(read("prompts/welcome.message.md")?.ends_with("---\nHello {{ name }}\n"));
    let (code, out, _) = run(&forge, &owner, &["diff", &at]).await?;
    assert_eq!((code, out.as_str()), (0, ""));

    // A change here goes there.
    let text = read("prompts/welcome.message.md")?.replace("Hello", "Welcome");
    write(&folder, "prompts/welcome.message.md", &text)?;
    write(&folder, "prompts/mail/bye.md", "Bye {{ who }}\n")?;
    write(&folder, "partials/sign.md", "Yours\n")?;
    let (code, out, _) = run(&forge, &owner, &["diff", &at]).await?;
    assert_eq!(code, 1);
    assert!(out.contains("-Hello {{ name }}") && out.contains("+Welcome {{ name }}"), "{out}");
    let (code, out, _) = run(&forge, &owner, &["diff", &at, "--json"]).await?;
    let items: Value = serde_json::from_str(&out)?;
    assert_eq!((code, &items["items"]["partials/sign"]), (1, &json!("here")));
    let (code, out, why) = run(&forge, &owner, &["push", &at]).await?;
    assert_eq!(code, 0, "{why}");
    assert!(
        out.contains("changed   prompts/welcome.message") && out.contains("new       prompts/mail/bye"),
        "{out}"
    );
    assert_eq!(template(&owner, "welcome.message").await?, "Welcome {{ name }}");
    assert_eq!(template(&owner, "mail/bye").await?, "Bye {{ who }}");
    assert_eq!(run(&forge, &owner, &["diff", &at]).await?.0, 0);
    assert!(run(&forge, &owner, &["push", &at]).await?.1.contains("nothing to push"));

    // What somebody made there is not removed by a push, and comes with a pull.
    owner.write("theirs", "Made in FORGE {{ name }}").await?;
    assert_eq!(run(&forge, &owner, &["push", &at]).await?.0, 0);
    assert_eq!(template(&owner, "theirs").await?, "Made in FORGE {{ name }}");
    assert_eq!(run(&forge, &owner, &["pull", &at]).await?.0, 0);
    assert!(read("prompts/theirs.md")?.contains("Made in FORGE"));

    // Changed on both sides: neither is lost unless somebody says so.
    owner.write("welcome.message", "There {{ name }}").await?;
    write(&folder, "prompts/welcome.message.md", &text.replace("Welcome", "Here"))?;
    let (code, out, why) = run(&forge, &owner, &["push", &at]).await?;
    assert_eq!(code, 2, "{out}{why}");
    assert!(out.contains("conflict  prompts/welcome.message"), "{out}");
    assert_eq!(template(&owner, "welcome.message").await?, "There {{ name }}");
    assert!(why.contains("forge pull"), "{why}");
    // A pull puts theirs beside ours, and brings what only they changed; each is told once.
    owner.write("theirs", "Changed in FORGE {{ name }}").await?;
    let beside = "prompts/welcome.message.md.forge";
    let (code, out, why) = run(&forge, &owner, &["pull", &at]).await?;
    assert_eq!(code, 1, "{out}{why}");
    assert_eq!(out.matches("conflict  prompts/welcome.message").count(), 1, "{out}");
    assert!(read("prompts/welcome.message.md")?.contains("Here") && read(beside)?.contains("There"));
    assert!(read("prompts/theirs.md")?.contains("Changed in FORGE"));
    // Nothing goes there until somebody made one of both.
    let (code, _, why) = run(&forge, &owner, &["push", &at]).await?;
    assert!(code == 2 && why.contains(beside), "{code} {why}");
    write(&folder, "prompts/welcome.message.md", &text.replace("Welcome", "Here and There"))?;
    std::fs::remove_file(folder.join(beside))?;
    let (code, out, why) = run(&forge, &owner, &["push", &at]).await?;
    assert_eq!(code, 0, "{out}{why}");
    assert_eq!(template(&owner, "welcome.message").await?, "Here and There {{ name }}");
    // What only this side changed is no reason to bring nothing.
    write(&folder, "prompts/welcome.message.md", &text.replace("Welcome", "Ours"))?;
    owner.write("theirs", "Once more {{ name }}").await?;
    let (code, out, why) = run(&forge, &owner, &["pull", &at]).await?;
    assert!(code == 0 && out.contains("kept      prompts/welcome.message"), "{code} {out}{why}");
    assert!(read("prompts/welcome.message.md")?.contains("Ours"));
    assert!(read("prompts/theirs.md")?.contains("Once more"));
    // Or one side is said to count.
    owner.write("welcome.message", "Theirs {{ name }}").await?;
    assert_eq!(run(&forge, &owner, &["pull", &at]).await?.0, 1);
    assert_eq!(run(&forge, &owner, &["push", &at, "--force"]).await?.0, 0);
    assert_eq!(template(&owner, "welcome.message").await?, "Ours {{ name }}");
    assert!(!folder.join(beside).exists());

    // A template that does not compile is no text: it is refused, with the place, and nothing is written.
    let good = read("prompts/theirs.md")?;
    write(&folder, "prompts/theirs.md", &good.replace("{{ name }}", "{{ nam }} {% if name %}"))?;
    let (code, _, why) = run(&forge, &owner, &["diff", &at]).await?;
    assert!(code == 2 && why.contains("note: prompts/theirs.md, line "), "{code} {why}");
    let (code, _, why) = run(&forge, &owner, &["push", &at]).await?;
    assert!(code == 2 && why.contains("note: prompts/theirs.md, line "), "{code} {why}");
    assert_eq!(template(&owner, "theirs").await?, "Once more {{ name }}");
    write(&folder, "prompts/theirs.md", &good)?;
    // Nor is a partial that a prompt includes, which is the same as it was.
    write(&folder, "prompts/signed.md", "Hello {% include \"sign\" %}\n")?;
    let (code, out, why) = run(&forge, &owner, &["push", &at]).await?;
    assert_eq!(code, 0, "{out}{why}");
    write(&folder, "partials/sign.md", "Yours {% if %}\n")?;
    let (code, _, why) = run(&forge, &owner, &["push", &at]).await?;
    assert!(code == 2 && why.contains("  prompts/signed"), "{code} {why}");
    write(&folder, "partials/sign.md", "Yours\n")?;

    // What is gone here goes there, into the archive.
    std::fs::remove_file(folder.join("prompts/mail/bye.md"))?;
    let (code, out, _) = run(&forge, &owner, &["push", &at]).await?;
    assert!(code == 0 && out.contains("removed   prompts/mail/bye"), "{code} {out}");
    let gone = owner.get(&format!("{}/prompts/mail/bye", owner.set())).await?;
    assert!(gone.status.is_client_error(), "{:?}", gone.status);

    // A locked set takes nothing; a wrong token and nobody there are told apart.
    owner.lock("1.0.0").await?;
    write(&folder, "prompts/late.md", "Late\n")?;
    let (code, _, why) = run(&forge, &owner, &["push", &at]).await?;
    assert!(code == 2 && why.contains("LOCKED"), "{code} {why}");
    let mut command = forge.place.command(&["push", &at]);
    let done = command.env("FORGE_URL", forge.url()).env("FORGE_TOKEN", "wrong").output().await?;
    assert_eq!(done.status.code(), Some(2));
    let mut command = forge.place.command(&["diff", &at]);
    let done = command.env("FORGE_URL", "http://127.0.0.1:1").env("FORGE_TOKEN", "x").output().await?;
    assert_eq!(done.status.code(), Some(69));
    assert!(!String::from_utf8_lossy(&done.stderr).contains(owner.token()));
    Ok(())
}
