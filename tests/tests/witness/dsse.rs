//! Attestations, key certificates and heartbeats, checked by a DSSE implementation that is not ours
//! (`scripts/verify-dsse`, which uses securesystemslib).

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkeys::KeyPair;
use publisher::{KeyRing, ProjectKeys, sign};
use schemas::Scope;
use schemas::canonical::Digest;
use schemas::envelope::{Attestation, Envelope, Head, Heartbeat};
use serde_json::{Value, json};
use tests::nats::now;
use tests::tools;
use tokio::process::Command;

const REQUIREMENTS: &str = "tests/tests/witness/requirements.txt";
const BODY: &[u8] = br#"{"prompts":[],"schema_version":1}"#;

/// Where securesystemslib is, installed with the versions and hashes that are listed.
async fn securesystemslib() -> Result<PathBuf> {
    let list = tools::repo_root().join(REQUIREMENTS);
    // Another list is another folder.
    let target =
        tools::tools_dir().join(format!("securesystemslib-{}", Digest::of(&std::fs::read(&list)?).short()));
    if target.join("securesystemslib").is_dir() {
        return Ok(target);
    }
    std::fs::create_dir_all(tools::tools_dir())?;
    let ours = tempfile::Builder::new().prefix(".securesystemslib-").tempdir_in(tools::tools_dir())?;
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--require-hashes", "--only-binary=:all:", "--requirement"])
        .arg(&list)
        .arg("--target")
        .arg(ours.path().join("wheels"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("python3 with pip is needed for this test")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Somebody else may have been faster; both are the same.
    let _ = std::fs::rename(ours.path().join("wheels"), &target);
    ensure!(target.join("securesystemslib").is_dir(), "the wheels hold no package");
    Ok(target)
}

/// The stranger who checks.
struct Witness {
    packages: PathBuf,
    folder: tempfile::TempDir,
}

impl Witness {
    async fn call() -> Result<Self> {
        let packages =
            securesystemslib().await.context("securesystemslib could not be had: this test did not pass")?;
        Ok(Self { packages, folder: tempfile::tempdir()? })
    }

    /// Exit code and output of `scripts/verify-dsse`.
    async fn says(&self, flags: &[&str], key: &str, envelope: &str) -> Result<(i32, String)> {
        let file = self.folder.path().join("envelope.json");
        std::fs::write(&file, envelope)?;
        let done = Command::new("python3")
            .arg("scripts/verify-dsse")
            .args(flags)
            .arg(key)
            .arg(&file)
            .current_dir(tools::repo_root())
            .env("PYTHONPATH", &self.packages)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let said = [done.stdout, done.stderr].concat();
        Ok((done.status.code().context("an exit code")?, String::from_utf8(said)?))
    }

    /// What it reads in an envelope that it takes, and that it saw the bytes signed that we sign.
    async fn believes(&self, key: &str, envelope: &Envelope) -> Result<Value> {
        let line = envelope.to_line();
        let (code, said) = self.says(&[], key, &line).await?;
        ensure!(code == 0, "refused: {said}");
        let (code, pae) = self.says(&["--pae"], key, &line).await?;
        ensure!(code == 0, "{pae}");
        let pae = pae.trim();
        let pae: Vec<u8> = (0..pae.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&pae[i..i + 2], 16))
            .collect::<Result<_, _>>()?;
        let signature = STANDARD.decode(&envelope.signatures[0].sig)?;
        KeyPair::from_public_key(key)?.verify(&pae, &signature).context("our key over their encoding")?;
        let payload = STANDARD.decode(&envelope.payload)?;
        ensure!(pae.ends_with(&payload) && pae.starts_with(b"DSSEv1 28 application/vnd.in-toto+json "));
        Ok(serde_json::from_str(&said)?)
    }

    async fn refuses(&self, key: &str, envelope: &Value) -> Result<()> {
        let (code, said) = self.says(&[], key, &envelope.to_string()).await?;
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("this is not what"), "{said}");
        Ok(())
    }
}

/// The same with one bit turned in the bytes that a member holds in base64.
fn flipped(envelope: &Value, pointer: &str, at: usize) -> Value {
    let mut changed = envelope.clone();
    let member = changed.pointer_mut(pointer).expect("a member");
    let mut bytes = STANDARD.decode(member.as_str().expect("text")).expect("base64");
    let at = at % bytes.len();
    bytes[at] ^= 1;
    *member = json!(STANDARD.encode(bytes));
    changed
}

#[tokio::test]
async fn another_dsse_implementation_believes_what_forge_signs_and_nothing_else() -> Result<()> {
    let witness = Witness::call().await?;
    let (ring, keys) = (KeyRing::generate(), ProjectKeys::generate());
    let (root, publishing) = (ring.root.public(), keys.publishing.public());
    let scope = Scope::new("acme", "support", "prod")?;
    let digest = Digest::of(BODY);

    let certificate = sign::certify(&ring.root, &keys, &scope.organisation, &scope.project, now(), None)?;
    let found = witness.believes(root, &certificate).await?;
    assert_eq!(found["predicate"]["key"], publishing);

    let attestation: Attestation = serde_json::from_value(json!({
        "publication": "01920000-0000-7000-8000-000000000001", "scope": scope, "set": "chat", "version": "1.0.0",
        "serial": 7, "size": BODY.len(), "issued": now(), "author": "Ada Müller", "approver": "bob",
        "publisher": "cleo",
    }))?;
    let attested = sign::attest(&keys, digest, attestation)?;
    let found = witness.believes(publishing, &attested).await?;
    assert_eq!(found["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(found["subject"][0]["digest"]["sha256"], digest.hex());
    assert_eq!(
        (&found["predicate"]["serial"], &found["predicate"]["author"]),
        (&json!(7), &json!("Ada Müller"))
    );

    let heads = vec![Head { set: "chat".parse()?, serial: 7, digest }];
    let heartbeat: Heartbeat = serde_json::from_value(
        json!({ "scope": scope, "issued": now(), "period_ms": 15_000, "heads": heads }),
    )?;
    let beat = sign::beat(&keys, heartbeat)?;
    let found = witness.believes(publishing, &beat).await?;
    assert_eq!(found["predicate"]["heads"][0]["serial"], 7);

    for (key, envelope) in [(root, &certificate), (publishing, &attested), (publishing, &beat)] {
        let envelope: Value = serde_json::from_str(&envelope.to_line())?;
        witness.refuses(key, &flipped(&envelope, "/payload", 91)).await?;
        witness.refuses(key, &flipped(&envelope, "/signatures/0/sig", 17)).await?;
        let mut other = envelope.clone();
        other["payloadType"] = json!("application/vnd.in-toto+jsoN");
        witness.refuses(key, &other).await?;
        let stranger = ProjectKeys::generate();
        witness.refuses(stranger.publishing.public(), &envelope).await?;
        // Under our key's name, by a stranger.
        let mut forged = envelope;
        forged["signatures"][0]["sig"] = json!(STANDARD.encode([7_u8; 64]));
        witness.refuses(key, &forged).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_recorded_fixture_is_believed_as_the_document_shows_it() -> Result<()> {
    let witness = Witness::call().await?;
    let fixtures = tools::repo_root().join("schemas/fixtures/v1");
    let read = |name: &str| std::fs::read_to_string(Path::new(&fixtures).join(name));
    let headers: Value = serde_json::from_str(&read("headers.json")?)?;
    let root = read("root.pub")?.trim().to_owned();
    let (code, said) = witness.says(&[], &root, headers["Forge-Key"].as_str().context("a header")?).await?;
    assert_eq!(code, 0, "{said}");
    let certified: Value = serde_json::from_str(&said)?;
    let key = certified["predicate"]["key"].as_str().context("a key")?.to_owned();
    let (code, said) =
        witness.says(&[], &key, headers["Forge-Attestation"].as_str().context("a header")?).await?;
    assert_eq!(code, 0, "{said}");
    let attested: Value = serde_json::from_str(&said)?;
    let body = std::fs::read(fixtures.join("bundle.json"))?;
    assert_eq!(attested["subject"][0]["digest"]["sha256"], Digest::of(&body).hex());
    assert_eq!(attested["predicate"]["size"], body.len());
    let document = std::fs::read_to_string(tools::repo_root().join("docs/SECURITY.md"))?;
    for command in
        ["scripts/verify-dsse \"$ROOT\" certificate.json", "scripts/verify-dsse \"$KEY\" attestation.json"]
    {
        assert!(document.contains(command), "docs/SECURITY.md does not show {command}");
    }

    // A file of `forge bundle` is taken apart by the lines of the document, as they stand there.
    let file = json!({
        "format": schemas::signed::FORMAT,
        "certificate": serde_json::from_str::<Value>(headers["Forge-Key"].as_str().context("a header")?)?,
        "attestation": serde_json::from_str::<Value>(headers["Forge-Attestation"].as_str().context("a header")?)?,
        "body": STANDARD.encode(&body),
    });
    let folder = witness.folder.path();
    std::fs::write(folder.join("chat.bundle.json"), file.to_string())?;
    let from = document.find("python3 -c '").context("the lines that take it apart")?;
    let length = document[from..].find("\nscripts/verify-dsse").context("their end")?;
    let lines = &document[from..from + length];
    let done = Command::new("sh").arg("-c").arg(lines).current_dir(folder).output().await?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(std::fs::read(folder.join("body.json"))?, body);
    for (part, key) in [("certificate.json", &root), ("attestation.json", &key)] {
        let (code, said) = witness.says(&[], key, &std::fs::read_to_string(folder.join(part))?).await?;
        assert_eq!(code, 0, "{part}: {said}");
    }
    Ok(())
}
