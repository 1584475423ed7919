//! What the demo plays on: an organisation, a project, real prompts and one to edit.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use publisher::credentials::Role;
use schemas::PromptId;
use schemas::parameter::{Kind, Parameter};
use schemas::prompt::Prompt;

use crate::auth::{self, Actor};
use crate::author::{self, NewProject, NewSet, ProjectAt, SetAt, import};
use crate::credential::{self, Ends, New};
use crate::database::organisation;
use crate::error::ApiError;
use crate::publish::{self, Answer, Request};
use crate::state::AppState;
use crate::{lock, session};

/// Who owns the demo.
pub(super) const OWNER: &str = "owner@demo.example";
const PROD: &str = "prod";
/// How often a publication is looked at while one waits.
const LOOK: Duration = Duration::from_millis(5);

pub(super) struct Stage {
    state: AppState,
    pub(super) owner: Actor,
    pub(super) at: ProjectAt,
}

impl Stage {
    /// Makes organisation, owner and project, or finds them from the last time.
    pub(super) async fn set(state: &AppState) -> anyhow::Result<Self> {
        let console = Actor::console();
        let organisation = match author::find_organisation(state, &console, "demo").await {
            Ok(found) => found,
            Err(ApiError::NotFound(_)) => {
                author::create_organisation(state, &console, "demo", "Demo").await?
            }
            Err(error) => return Err(error.into()),
        };
        let user = match session::create_user(state, OWNER, "Demo owner", None).await {
            Ok(made) => made,
            Err(ApiError::Conflict { .. }) => session::user_by_email(state, OWNER).await?,
            Err(error) => return Err(error.into()),
        };
        let mut tx = state.database.write().await?;
        organisation::put_membership(&mut tx, &super::owner_of(&organisation.id, &user.id)).await?;
        tx.commit().await?;
        let owner = Actor {
            user_id: user.id,
            name: user.name,
            email: user.email,
            entry: auth::Entry::Console,
            memberships: Vec::new(),
            grants: Vec::new(),
        };
        let at = match author::find_project(state, &owner, "demo", "fabric").await {
            Ok(found) => found,
            Err(ApiError::NotFound(_)) => {
                let new = NewProject {
                    slug: "fabric",
                    name: "Fabric",
                    description: "Real prompts: the patterns of the Fabric project (MIT licence).",
                };
                author::create_project(state, &owner, &organisation, new).await?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { state: state.clone(), owner, at })
    }

    pub(super) async fn find(&self, set: &str) -> anyhow::Result<Option<SetAt>> {
        match author::find_set(&self.state, &self.owner, &self.at, set).await {
            Ok(found) => Ok(Some(found)),
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a set of these prompts, locks it as 1.0.0 and publishes it to prod, unless it is there.
    async fn put(&self, slug: &str, name: &str, prompts: &[Prompt]) -> anyhow::Result<()> {
        let (state, owner) = (&self.state, &self.owner);
        if self.find(slug).await?.is_some() {
            return Ok(());
        }
        let set = author::create_set(state, owner, &self.at, NewSet { slug, name, description: "" }).await?;
        import::import(state, owner, &set, prompts).await?;
        lock::lock(state, owner, &set, "1.0.0", None, "First version.").await?;
        self.publish(&set, "1.0.0").await
    }

    async fn publish(&self, set: &SetAt, version: &str) -> anyhow::Result<()> {
        let request =
            Request { environment: PROD, version, expected_serial: None, comment: "", accept_broken: &[] };
        publish::publish(&self.state, &self.owner, set, request).await?;
        Ok(())
    }

    /// The real prompts; gives how many.
    pub(super) async fn fabric(&self, folder: &Path) -> anyhow::Result<usize> {
        let prompts = import::read_folder(folder)?;
        self.put("fabric", "Fabric patterns", &prompts).await?;
        Ok(prompts.len())
    }

    /// A connect string for an agent of prod.
    pub(super) async fn credential(&self) -> anyhow::Result<zeroize::Zeroizing<String>> {
        let (name, purpose) = ("demo agent", "shows the whole line");
        let new = New { environment: PROD, name, purpose, kind: Role::Agent, ends: Ends::Default };
        Ok(credential::create(&self.state, &self.owner, &self.at, new).await?.connect_line)
    }

    /// The prompt that one edits; gives the milliseconds from publication to active.
    pub(super) async fn welcome(&self, deadline: Duration) -> anyhow::Result<f64> {
        if let Some(set) = self.find("welcome").await? {
            // From the last time: published once more, to be measured.
            let versions = lock::versions(&self.state, &self.owner, &set).await?;
            let live = self.head("welcome").await?.map(|f| f.version.version);
            let version = live.or_else(|| versions.first().map(|v| v.version.clone()));
            let version = version.context("the set welcome has no version; remove the data directory")?;
            self.publish(&set, &version).await?;
        } else {
            self.put("welcome", "Welcome", &[welcome_prompt()?]).await?;
        }
        self.active("welcome", deadline).await
    }

    pub(super) async fn head(
        &self,
        set: &str,
    ) -> anyhow::Result<Option<crate::database::publication::PublicationFull>> {
        let Some(set) = self.find(set).await? else { return Ok(None) };
        let environment = author::find_environment(&self.state, &self.owner, &self.at, PROD).await?;
        Ok(publish::live(&self.state, &self.owner, &set, &environment).await?)
    }

    /// Waits until an agent says that it serves the newest publication of a set; gives the
    /// milliseconds that it took.
    pub(super) async fn active(&self, set: &str, deadline: Duration) -> anyhow::Result<f64> {
        let end = Instant::now() + deadline;
        let head = self.head(set).await?.with_context(|| format!("{set} was not published"))?;
        loop {
            let view = publish::find(&self.state, &self.owner, &self.at, head.publication.number).await?;
            if let Some(refused) = view.answers.iter().find(|a| a.answer == Answer::Refused) {
                let reason = refused.acknowledgement.as_ref().and_then(|a| a.reason.clone());
                bail!("the agent refused {set}: {}", reason.unwrap_or_default());
            }
            if view.count(Answer::Active) > 0
                && let Some(after) = view.converged_after()
            {
                #[allow(clippy::cast_precision_loss, reason = "milliseconds for people")]
                return Ok(after as f64 / 1000.0);
            }
            if Instant::now() > end {
                bail!(
                    "no agent serves publication {} of {set} after {} s; it is {}",
                    head.publication.number,
                    deadline.as_secs(),
                    view.full.publication.state
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn welcome_prompt() -> anyhow::Result<Prompt> {
    let mut prompt = Prompt::text(
        PromptId::new("welcome.message")?,
        "Welcome, {{ name }}! You are talking to the support of Anvil.\nAnswer in one sentence.",
    );
    prompt.description = "Edit me, lock, publish: the agent prints what I became.".into();
    prompt.parameters.push(Parameter {
        name: "name".into(),
        kind: Kind::String { min_length: Some(1), max_length: Some(80) },
        required: true,
        default: None,
        description: "Who is greeted".into(),
        example: Some("Ada".into()),
    });
    Ok(prompt)
}
