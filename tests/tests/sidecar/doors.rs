//! Who may come in, and from where.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use tests::nats::TestBroker;

use crate::stage::{Sidecar, command, furnish};

const HELLO: &str = r#"{"id":"hello","values":{"name":"Ada","n":3}}"#;

#[tokio::test]
async fn tcp_wants_the_token_and_the_socket_its_permissions() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let sidecar = Sidecar::serving(&test, "token", &["--socket-mode", "0660"]).await?;
    assert!(sidecar.token.len() >= 40, "a token was made");
    assert_eq!(std::fs::metadata(&sidecar.token_file)?.permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&sidecar.socket)?.permissions().mode() & 0o777, 0o660);
    for wrong in ["authorization: Bearer wrong", "authorization: Basic bGl2ZTp3cm9uZw==", "x-none: 1"] {
        let answer = sidecar.bare("/v1/render", Some(HELLO), &["-H", wrong]).await?;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_required"), "{wrong}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
    }
    let password = format!("me:{}", sidecar.token);
    assert_eq!(sidecar.bare("/v1/render", Some(HELLO), &["-u", &password]).await?.status, 200);
    assert_eq!(sidecar.near("/v1/render", Some(HELLO), &[]).await?.status, 200, "no token on the socket");
    assert_eq!(sidecar.bare("/metrics", None, &[]).await?.status, 401);
    assert_eq!(sidecar.bare("/", None, &[]).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn without_a_token_only_this_machine_is_heard_and_only_by_its_own_name() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let sidecar =
        Sidecar::serving(&test, "open", &["--no-token", "--allow-host", "prompts.internal"]).await?;
    let with = async |header: &str| sidecar.bare("/v1/render", Some(HELLO), &["-H", header]).await;
    assert_eq!(with("x-none: 1").await?.status, 200);
    assert_eq!(with("host: localhost").await?.status, 200);
    assert_eq!(with("host: prompts.internal:80").await?.status, 200);
    for rebound in ["host: evil.example", "host: 127.0.0.1.evil.example", "host;"] {
        let answer = with(rebound).await?;
        assert_eq!((answer.status, answer.code().as_str()), (421, "wrong_host"), "{rebound}");
    }
    let h2 = ["--http2-prior-knowledge", "-H", "host: evil.example"];
    assert_eq!(sidecar.bare("/v1/render", Some(HELLO), &h2).await?.status, 421);
    for crossing in [
        "sec-fetch-site: cross-site",
        "sec-fetch-site: same-site",
        "origin: http://evil.example",
        "origin: null",
    ] {
        let answer = with(crossing).await?;
        assert_eq!((answer.status, answer.code().as_str()), (403, "cross_site"), "{crossing}");
        let body = Some(r#"{"mode":"FROZEN"}"#);
        let answer = sidecar.bare("/v1/mode", body, &["-X", "PUT", "-H", crossing]).await?;
        assert_eq!(answer.status, 403, "{crossing}");
    }
    let page = sidecar.bare("/v1/status", None, &["-H", "origin: http://evil.example"]).await?;
    assert!(!page.head.contains("access-control"), "no other site may read: {page:?}");
    assert_eq!(sidecar.bare("/v1/mode", None, &[]).await?.json()?["mode"], "ACCEPTING");
    Ok(())
}

#[tokio::test]
async fn an_unsafe_way_to_listen_is_refused_with_its_key() -> Result<()> {
    let test = TestBroker::start().await?;
    let folder = test.directory().to_owned();
    let open = folder.join("open.token");
    std::fs::write(&open, "a-token-that-everybody-can-read\n")?;
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644))?;
    let short = folder.join("short.token");
    std::fs::write(&short, "short\n")?;
    std::fs::set_permissions(&short, std::fs::Permissions::from_mode(0o600))?;
    let file = folder.join("a-file");
    std::fs::write(&file, "precious")?;
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let cases: [(Vec<String>, i32, &str); 6] = [
        (vec!["--listen".into(), "0.0.0.0:0".into()], 64, "--allow-remote"),
        (["--listen", "0.0.0.0:0", "--allow-remote", "--no-token"].map(Into::into).into(), 64, "--no-token"),
        (vec!["--token-file".into(), path(&open)], 64, "chmod 600"),
        (vec!["--token-file".into(), path(&short)], 64, "24 characters"),
        (vec!["--socket".into(), path(&file)], 64, "no socket"),
        (vec!["--socket-mode".into(), "0999".into()], 64, "socket_mode: write permissions such as 0600"),
    ];
    for (arguments, code, why) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = command(&test, "unsafe", &arguments)?.output().await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert!(!said.contains("everybody-can-read"), "no token is shown: {said}");
    }
    assert_eq!(std::fs::read_to_string(&file)?, "precious");
    Ok(())
}

#[tokio::test]
async fn the_file_says_how_it_is_served_and_a_variable_that_is_empty_or_false_says_nothing() -> Result<()> {
    let test = TestBroker::start().await?;
    furnish(&test).await?;
    let file = test.directory().join("live.toml");
    std::fs::write(
        &file,
        "[serve]\nlisten = [\"127.0.0.1:0\"]\nsocket = \"here.http\"\nsocket_mode = \"0640\"\n\
         token_file = \"own.token\"\nbody_max = 40\n",
    )?;
    let config = ["--config", file.to_str().unwrap_or_default()];
    let mut command = command(&test, "file", &config)?;
    command.env("LIVE_LISTEN", "").env("LIVE_SOCKET", "").env("LIVE_NO_TOKEN", "false");
    let sidecar = Sidecar::of(command.spawn()?).await?;
    assert_eq!(sidecar.socket, test.directory().join("here.http"), "beside the file");
    assert_eq!(sidecar.token_file, test.directory().join("own.token"));
    assert_eq!(std::fs::metadata(&sidecar.socket)?.permissions().mode() & 0o777, 0o640);
    assert_eq!(sidecar.get("/v1/status").await?.status, 200);
    let large = sidecar.ask("POST", "/v1/render", Some(HELLO), &[]).await?;
    assert_eq!((large.status, large.code().as_str()), (413, "body_too_large"));
    Ok(())
}
