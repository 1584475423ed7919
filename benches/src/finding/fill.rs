//! What stands in the FORGE that is measured: projects with a set of prompts each. Of every four, one set is locked and
//! published; of every ten, one waits for a review. The project that is looked at has two versions and a draft.

use anyhow::Result;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Asked, PROMPTS, middle, projects, slug, words};

/// Projects that are written at once: while one is stored, the next one is made.
const AT_ONCE: usize = 2;
/// Prompts of the middle project that each of its later states changes.
const CHANGED: usize = 10;

impl Asked {
    pub(super) async fn fill(&self) -> Result<()> {
        // One after another where the order matters: what is older stays older.
        for half in [0..projects() / 2, projects() / 2..projects()] {
            futures::stream::iter(half).map(Ok).try_for_each_concurrent(AT_ONCE, |n| self.project(n)).await?;
        }
        self.middle().await
    }

    async fn post(&self, path: &str, body: Value) -> Result<()> {
        self.send(Method::POST, path, Some(&body)).await.map(|_| ())
    }

    async fn project(&self, n: usize) -> Result<()> {
        let slug = slug(n);
        let project = json!({ "slug": slug, "name": format!("Project {n}") });
        self.post("/api/v1/organisations/acme/projects", project).await?;
        let at = format!("/api/v1/projects/acme:{slug}");
        self.post(&format!("{at}/sets"), json!({ "slug": "chat" })).await?;
        let is_old = n < projects() / 2;
        let prompts: Vec<Value> = (0..PROMPTS).map(|m| words::prompt(n, m, is_old)).collect();
        self.post(&format!("{at}/sets/chat/import"), json!({ "prompts": prompts })).await?;
        if slug == middle() || n.is_multiple_of(4) {
            self.publish(&at, "1.0.0").await?;
        } else if n % 10 == 1 {
            self.post(&format!("{at}/sets/chat/reviews"), json!({ "message": "Please read this." })).await?;
        }
        Ok(())
    }

    async fn publish(&self, at: &str, version: &str) -> Result<()> {
        self.post(&format!("{at}/sets/chat/lock"), json!({ "version": version })).await?;
        let publication = json!({ "set": "chat", "environment": "dev", "version": version });
        self.post(&format!("{at}/publications"), publication).await
    }

    /// Another version of the middle project, and a draft after it.
    async fn middle(&self) -> Result<()> {
        let at = format!("/api/v1/projects/acme:{}", middle());
        for version in ["1.1.0", ""] {
            self.post(&format!("{at}/sets/chat/reopen"), json!({})).await?;
            let prompts: Vec<Value> = (0..CHANGED)
                .map(|m| {
                    let mut prompt = words::prompt(projects() / 2, m, false);
                    prompt["description"] = json!(format!("Changed before the end of {version}"));
                    prompt
                })
                .collect();
            self.post(&format!("{at}/sets/chat/import"), json!({ "prompts": prompts })).await?;
            if !version.is_empty() {
                self.publish(&at, version).await?;
            }
        }
        Ok(())
    }
}
