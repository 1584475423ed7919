//! No secret lies in clear: not in the database, not in its files, not in a log.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde_json::json;
use tests::forge::{Database, Forge, ORGANISATION, OWNER, PASSWORD};
use tests::until::{secs, until};
use tokio::process::Command;

tests::on_both!(no_secret_lies_in_clear_in_the_database_its_files_or_the_log);

/// Reads everything in an SQLite file: every value of every table, as text or hexadecimal. Of a virtual table, which
/// Python's SQLite may be too old for, the tables that it is kept in.
const DUMP: &str = r#"
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
db.text_factory = bytes
kept = "type = 'table' and coalesce(sql, '') not like 'create virtual table%'"
tables = [t for (t,) in db.execute(f"select name from sqlite_master where {kept}")]
for table in tables:
    name = table.decode()
    for row in db.execute(f'select * from "{name}"'):
        for value in row:
            text = value if isinstance(value, bytes) else str(value).encode()
            sys.stdout.buffer.write(name.encode() + b"\t" + text + b"\n")
"#;

const SEALED: &str = r#"
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
(sealed,) = db.execute("select sealed from keys where name = ?", (sys.argv[2],)).fetchone()
sys.stdout.buffer.write(sealed)
"#;

async fn python(script: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let done = Command::new("python3").arg("-c").arg(script).args(arguments).output().await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(done.stdout)
}

/// A private key as FORGE has it, for who has its database and its master key.
pub(crate) async fn unseal(forge: &Forge, name: &str) -> Result<String> {
    use base64::Engine as _;
    let file = forge.place.data().join("forge.db").display().to_string();
    let sealed = python(SEALED, &[&file, name]).await?;
    let master = std::fs::read_to_string(forge.place.data().join("master.key"))?;
    let master = base64::engine::general_purpose::STANDARD.decode(master.trim())?;
    let cipher = XChaCha20Poly1305::new_from_slice(&master)?;
    let nonce: [u8; 24] = sealed.get(1..25).context("a nonce")?.try_into()?;
    let payload = Payload { msg: sealed.get(25..).context("a text")?, aad: name.as_bytes() };
    let opened = cipher.decrypt(&XNonce::from(nonce), payload);
    Ok(String::from_utf8(opened.map_err(|_| anyhow::anyhow!("{name} cannot be opened"))?)?)
}

/// Everything that the database and its files hold.
async fn everything(forge: &mut Forge, database: Database) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    match database {
        Database::Sqlite => {
            let file = forge.place.data().join("forge.db").display().to_string();
            found.push(("the tables".to_owned(), python(DUMP, &[&file]).await?));
            // The file itself, what is not yet in it, and what was deleted from it.
            for ending in ["", "-wal", "-shm"] {
                let file = format!("{file}{ending}");
                if Path::new(&file).exists() {
                    found.push((file.clone(), std::fs::read(&file)?));
                }
            }
            ensure!(found.len() > 1, "no file of the database");
        }
        Database::Postgres => {
            found.push(("the tables".to_owned(), forge.place.rows().into_bytes()));
            let mut folders = vec![forge.place.postgres().directory().to_path_buf()];
            while let Some(folder) = folders.pop() {
                // The server is at work: a folder may be gone by now.
                for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                    let path = entry?.path();
                    if path.is_dir() {
                        folders.push(path);
                    } else if let Ok(bytes) = std::fs::read(&path) {
                        found.push((path.display().to_string(), bytes));
                    }
                }
            }
            ensure!(found.len() > 100, "no files of the cluster");
        }
    }
    Ok(found)
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

/// The seeds of nkeys in a text: S, then the kind, 58 letters and digits of base32.
fn seeds(bytes: &[u8]) -> Vec<String> {
    let letter = |b: &u8| b.is_ascii_uppercase() || (b'2'..=b'7').contains(b);
    let kinds = ["SU", "SA", "SO", "SN", "SC", "SX"];
    bytes
        .split(|b| !letter(b))
        .filter(|word| word.len() == 58 && kinds.iter().any(|kind| word.starts_with(kind.as_bytes())))
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

async fn no_secret_lies_in_clear_in_the_database_its_files_or_the_log(database: Database) -> Result<()> {
    let mut forge = Forge::start(database).await?;
    let owner = forge.owner().await?;
    owner.create_project(ORGANISATION).await?;
    owner.release("1.0.0", "Hello {{ name }}").await?;
    let credential = owner.credential("prod", "checkout").await?;
    let revoked = owner.credential("dev", "gone").await?;
    let path = format!("{}/credentials/{}", owner.project(), revoked.id);
    owner.send(reqwest::Method::DELETE, &path, &[], None).await?.ok()?;
    let link = forge.place.run(&["user", "sign-in-link", OWNER]).await?;
    let token = forge
        .place
        .run(&["user", "token", OWNER, "--organisation", ORGANISATION, "--name", "second"])
        .await?;
    // A session of a browser, by its cookie.
    let browser = reqwest::Client::new();
    let signed_in = browser
        .post(format!("{}/api/v1/sessions", forge.url()))
        .json(&json!({"email": OWNER, "password": PASSWORD}))
        .send()
        .await?;
    let cookie = signed_in.headers().get("set-cookie").context("a cookie")?.to_str()?.to_owned();
    let session = cookie.split(['=', ';']).nth(1).context("a session")?.to_owned();
    // A wrong secret leaves no trace either.
    let wrong = "wrong-horse-battery-staple-93";
    browser
        .post(format!("{}/api/v1/sessions", forge.url()))
        .json(&json!({"email": OWNER, "password": wrong}))
        .send()
        .await?;
    let (jwt, seed) = publisher::jwt::read_credentials(&credential.creds)?;
    let (revoked_jwt, revoked_seed) = publisher::jwt::read_credentials(&revoked.creds)?;
    let link_token = link.trim().rsplit(['/', '=']).next().context("a link")?.to_owned();
    let secrets = [
        ("a credential's token", jwt),
        ("a credential's seed", seed.to_string()),
        ("a revoked credential's token", revoked_jwt),
        ("a revoked credential's seed", revoked_seed.to_string()),
        ("a connect string", credential.line.clone()),
        ("a token of the API", token.trim().to_owned()),
        ("the token of the tests", owner.token().to_owned()),
        ("a session", session),
        ("a sign-in link", link_token),
        ("a password", PASSWORD.to_owned()),
        ("a wrong password", wrong.to_owned()),
    ];
    for (what, secret) in &secrets {
        assert!(secret.len() >= 20, "{what} is no secret: {secret:?}");
    }
    // A log that says much says no secret either.
    let log = until("the log has something to say", secs(60), async || {
        std::fs::read(forge.directory().join("forge-0.log")).ok().filter(|log| log.len() > 200)
    })
    .await;
    let mut places = everything(&mut forge, database).await?;
    // The search would find them if they were there.
    assert!(places.iter().any(|(_, bytes)| holds(bytes, &credential.public_key)), "the search finds nothing");
    places.push(("the log".into(), log));
    for (place, bytes) in &places {
        for (what, secret) in &secrets {
            assert!(!holds(bytes, secret), "{what} is in {place}");
        }
        assert_eq!(seeds(bytes), Vec::<String>::new(), "seeds are in {place}");
    }
    Ok(())
}
