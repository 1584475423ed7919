//! A client of FORGE's API, signed in as somebody.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A client with an API token.
#[derive(Debug, Clone)]
pub struct Api {
    url: String,
    token: String,
    client: reqwest::Client,
}

/// What FORGE answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    /// The body, where it is JSON.
    pub body: Value,
}

/// A credential as it is shown once.
#[derive(Debug, Clone)]
pub struct Credential {
    pub id: String,
    pub public_key: String,
    pub creds: String,
    pub connection: Value,
    /// The connect string.
    pub line: String,
}

impl Answer {
    /// The body of an answer that must be a success.
    pub fn ok(self) -> Result<Value> {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        ensure!(self.status.is_success(), "FORGE answered {}: {text}", self.status);
        Ok(self.body)
    }

    /// The problem (RFC 9457) of an answer that must be one with this status and code.
    pub fn problem(self, status: u16, code: &str) -> Result<Value> {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        ensure!(self.status.as_u16() == status, "expected {status} {code}, got {}: {text}", self.status);
        let kind = self.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        ensure!(kind.starts_with("application/problem+json"), "the answer is {kind}: {text}");
        ensure!(self.body["code"] == code, "expected code {code}: {text}");
        ensure!(self.body["status"] == status, "the problem names another status: {text}");
        Ok(self.body)
    }
}

impl Api {
    /// Signs in with a password, and makes an API token for the rest.
    pub async fn sign_in(url: &str, email: &str, password: &str) -> Result<Self> {
        let browser = reqwest::Client::builder().cookie_store(true).build()?;
        let signed_in = browser
            .post(format!("{url}/api/v1/sessions"))
            .json(&json!({"email": email, "password": password}))
            .send()
            .await?;
        ensure!(signed_in.status().is_success(), "signing in: {}", signed_in.text().await?);
        let csrf: Value = signed_in.json().await?;
        let csrf = csrf["csrf_token"].as_str().context("a CSRF token")?.to_owned();
        let me: Value =
            browser.get(format!("{url}/api/v1/me")).send().await?.error_for_status()?.json().await?;
        let place = &me["organisations"][0];
        let made = browser
            .post(format!("{url}/api/v1/tokens"))
            .header("x-csrf-token", csrf)
            .json(&json!({"organisation": place["organisation"], "name": "test", "role": place["role"]}))
            .send()
            .await?;
        ensure!(made.status().is_success(), "making a token: {}", made.text().await?);
        let made: Value = made.json().await?;
        let token = made["token"].as_str().context("a token")?.to_owned();
        Ok(Self { url: url.to_owned(), token, client: client()? })
    }

    /// The API token. Secret.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same person at another process.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// Only where no answer came; see [`Answer::ok`] and [`Answer::problem`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await?.to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Answer { status, headers, bytes, body })
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// Creates the project `support` with its environments, the set `chat`, and the prompt `welcome.message`.
    pub async fn create_project(&self, organisation: &str) -> Result<()> {
        let projects = format!("/api/v1/organisations/{organisation}/projects");
        self.post(&projects, &json!({"slug": "support", "name": "Support"})).await?.ok()?;
        self.post(&format!("{}/sets", self.project()), &json!({"slug": "chat", "name": "Chat"}))
            .await?
            .ok()?;
        Ok(())
    }

    /// The path of the project that every test works in.
    #[must_use]
    pub fn project(&self) -> String {
        format!("/api/v1/projects/{}:support", super::ORGANISATION)
    }

    /// The project as commands name it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/support", super::ORGANISATION)
    }

    /// The path of the set that every test works in.
    #[must_use]
    pub fn set(&self) -> String {
        format!("{}/sets/chat", self.project())
    }

    /// Saves a text prompt of the set `chat` with one required parameter `name`, over whatever is there.
    pub async fn write(&self, id: &str, template: &str) -> Result<()> {
        let path = format!("{}/prompts/{id}", self.set());
        let found = self.get(&path).await?;
        let revision = found.body["revision"].as_i64().unwrap_or(0);
        let prompt = json!({
            "id": id, "content": {"type": "text", "template": template},
            "parameters": [{"name": "name", "type": "string", "required": true}],
        });
        let quoted = format!("\"{revision}\"");
        self.send(Method::PUT, &path, &[("if-match", &quoted)], Some(&prompt)).await?.ok()?;
        Ok(())
    }

    /// Locks the set `chat`; gives the digest.
    pub async fn lock(&self, version: &str) -> Result<String> {
        let locked = self.post(&format!("{}/lock", self.set()), &json!({"version": version})).await?.ok()?;
        Ok(locked["digest"].as_str().context("a digest")?.to_owned())
    }

    /// Opens the set `chat` again.
    pub async fn reopen(&self) -> Result<()> {
        self.post(&format!("{}/reopen", self.set()), &json!({})).await?.ok()?;
        Ok(())
    }

    /// Publishes a version of `chat`; gives the publication.
    pub async fn publish(&self, version: &str, environment: &str) -> Result<Value> {
        let request = json!({"set": "chat", "version": version, "environment": environment});
        self.post(&format!("{}/publications", self.project()), &request).await?.ok()
    }

    /// Writes, locks and publishes to `prod` in one go.
    pub async fn release(&self, version: &str, template: &str) -> Result<Value> {
        let state = self.get(&self.set()).await?.ok()?;
        if state["state"] == "locked" {
            self.reopen().await?;
        }
        self.write("welcome.message", template).await?;
        self.lock(version).await?;
        self.publish(version, "prod").await
    }

    /// A publication by its number.
    pub async fn publication(&self, number: i64) -> Result<Value> {
        self.get(&format!("{}/publications/{number}", self.project())).await?.ok()
    }

    /// A new credential of an agent.
    pub async fn credential(&self, environment: &str, name: &str) -> Result<Credential> {
        let path = format!("{}/credentials", self.project());
        let made = self.post(&path, &json!({"environment": environment, "name": name})).await?.ok()?;
        let text =
            |key: &str| made[key].as_str().map(str::to_owned).with_context(|| format!("{key} in {made}"));
        Ok(Credential {
            id: text("id")?,
            public_key: text("public_key")?,
            creds: text("creds")?,
            line: text("connect")?,
            connection: made["connection"].clone(),
        })
    }
}

fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?)
}
