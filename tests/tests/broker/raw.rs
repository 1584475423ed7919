//! The protocol of NATS by hand: what no client library lets one send.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use publisher::{MintedCredential, jwt};
use serde_json::{Value, json};
use tests::until::secs;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A connection to the server.
pub(crate) struct Raw {
    stream: BufReader<TcpStream>,
}

/// What the server said up to its answer to a ping.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Lines of `-ERR`.
    pub(crate) errors: Vec<String>,
    /// Subjects and payloads, with the headers before the latter.
    pub(crate) messages: Vec<(String, Vec<u8>)>,
    /// The server hung up.
    pub(crate) closed: bool,
}

impl Heard {
    /// The server refused what was sent, in words or by hanging up.
    pub(crate) fn refused(&self) -> bool {
        self.closed || self.errors.iter().any(|e| e.to_lowercase().contains("permissions violation"))
    }
}

impl Raw {
    /// Connects with a credential, or with none. The server gives 2 s for that: who lost the processor meanwhile was
    /// not refused, and comes again.
    ///
    /// # Errors
    /// The server's own words where it does not let one in.
    pub(crate) async fn connect(url: &str, credential: Option<&MintedCredential>) -> Result<Self> {
        loop {
            let (this, heard) = Self::sign_in(url, credential).await?;
            if !heard.closed && heard.errors.is_empty() {
                return Ok(this);
            }
            if !heard.errors.iter().any(|e| e.to_lowercase().contains("authentication timeout")) {
                bail!("{:?}", heard.errors);
            }
        }
    }

    async fn sign_in(url: &str, credential: Option<&MintedCredential>) -> Result<(Self, Heard)> {
        let address = url.strip_prefix("nats://").context("a plain address")?;
        let mut this = Self { stream: BufReader::new(TcpStream::connect(address).await?) };
        let info = this.line().await?.context("a greeting")?;
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").context("INFO")?)?;
        let mut connect = json!({
            "verbose": false, "pedantic": false, "lang": "test", "version": "0", "protocol": 1, "headers": true,
            "no_responders": true, "echo": true,
        });
        if let Some(credential) = credential {
            let (token, seed) = jwt::read_credentials(&credential.creds)?;
            let nonce = info["nonce"].as_str().context("a nonce")?;
            connect["jwt"] = json!(token);
            connect["sig"] =
                json!(URL_SAFE_NO_PAD.encode(KeyPair::from_seed(&seed)?.sign(nonce.as_bytes())?));
        }
        this.send(format!("CONNECT {connect}\r\n").as_bytes()).await;
        let heard = this.settle().await?;
        Ok((this, heard))
    }

    async fn line(&mut self) -> Result<Option<String>> {
        let mut line = Vec::new();
        let read = tokio::time::timeout(secs(60), self.stream.read_until(b'\n', &mut line)).await?;
        // A server that hangs up may do so in the middle.
        if read.unwrap_or(0) == 0 {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    /// Sends bytes as they are. A server that hung up is noticed when it is listened to.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes).await;
    }

    /// Publishes, with a reply subject where there is one.
    pub(crate) async fn publish(&mut self, subject: &str, reply: Option<&str>, payload: &[u8]) {
        let head = format!(
            "PUB {subject} {}{}\r\n",
            reply.map(|r| format!("{r} ")).unwrap_or_default(),
            payload.len()
        );
        self.send(&[head.as_bytes(), payload, b"\r\n"].concat()).await;
    }

    /// Publishes with headers.
    pub(crate) async fn publish_with(&mut self, subject: &str, headers: &[(&str, &str)], payload: &[u8]) {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = format!("NATS/1.0\r\n{lines}\r\n");
        let head = format!("HPUB {subject} {} {}\r\n", headers.len(), headers.len() + payload.len());
        self.send(&[head.as_bytes(), headers.as_bytes(), payload, b"\r\n"].concat()).await;
    }

    /// Waits until the server has dealt with all that was sent, and gives what it said meanwhile.
    pub(crate) async fn settle(&mut self) -> Result<Heard> {
        self.send(b"PING\r\n").await;
        let mut heard = Heard::default();
        loop {
            let Some(line) = self.line().await? else {
                heard.closed = true;
                return Ok(heard);
            };
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["PONG", ..] => return Ok(heard),
                ["PING", ..] => self.send(b"PONG\r\n").await,
                ["MSG" | "HMSG", subject, .., length] => {
                    let mut payload = vec![0; length.parse::<usize>()? + 2];
                    self.stream.read_exact(&mut payload).await?;
                    heard.messages.push(((*subject).to_owned(), payload));
                }
                ["-ERR", ..] => heard.errors.push(line),
                _ => {}
            }
        }
    }
}
