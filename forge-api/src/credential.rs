//! Credentials: the access of an agent to one environment of one project. Shown once, never stored.

use std::fmt;

use publisher::credentials::{self, Role};
use schemas::Micros;
use schemas::connect::{ConnectString, Connection, SCHEMA_VERSION};
use serde_json::json;
use zeroize::Zeroizing;

use crate::audit;
use crate::auth::{Action, Actor};
use crate::author::set::project_in_use;
use crate::author::{ProjectAt, find_environment};
use crate::broker;
use crate::clock;
use crate::database::credential::{self, Credential};
use crate::database::project::Environment;
use crate::database::signing;
use crate::error::{ApiError, Result, chain, within};
use crate::events::Kind;
use crate::state::AppState;

/// What a new credential is for.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    pub environment: &'a str,
    /// For people: which service it is for.
    pub name: &'a str,
    /// For people: what it does there.
    pub purpose: &'a str,
    pub kind: Role,
    pub ends: Ends,
}

/// When a credential stops being good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// After [`DEFAULT_DAYS`].
    Default,
    At(Micros),
    /// Never by itself; only who says so by name gets it.
    Never,
}

/// Longest name, in characters.
const NAME_MAX: usize = 100;
/// Longest purpose, in characters.
const PURPOSE_MAX: usize = 500;
/// How long a credential is good, in days, where nobody says it.
pub const DEFAULT_DAYS: i64 = 90;
/// One day, in microseconds.
pub const DAY: Micros = 86_400_000_000;
/// Credentials of a project that are good at one time: each that is revoked stands in its account's JWT until it would
/// have expired, and the server takes no more than a megabyte of that.
const GOOD_MAX: i64 = 1000;
/// From here on an end comes soon.
pub const SOON: Micros = 14 * DAY;

impl Ends {
    /// After so many days from now.
    #[must_use]
    pub fn in_days(days: i64) -> Self {
        Self::At(clock::now().saturating_add(days.clamp(1, 3650) * DAY))
    }

    fn at(self) -> Option<Micros> {
        match self {
            Self::Default => Self::in_days(DEFAULT_DAYS).at(),
            Self::At(at) => Some(at),
            Self::Never => None,
        }
    }
}

/// Whether a credential is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Active,
    /// Within 14 days.
    ExpiresSoon,
    Expired,
    Revoked,
}

impl Standing {
    /// As of now.
    #[must_use]
    pub fn of(credential: &Credential) -> Self {
        match (credential.revoked_at, credential.expires_at.map(|at| at - clock::now())) {
            (Some(_), _) => Self::Revoked,
            (None, Some(..=0)) => Self::Expired,
            (None, Some(left)) if left < SOON => Self::ExpiresSoon,
            _ => Self::Active,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ExpiresSoon => "expires_soon",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// A new credential, to be shown this once.
#[derive(Clone)]
pub struct Created {
    pub credential: Credential,
    pub environment: Environment,
    /// The text of the `.creds` file. **Secret.**
    pub creds: Zeroizing<String>,
    /// One line to paste into `live connect`. **Secret.**
    pub connect_line: Zeroizing<String>,
    pub connection: Connection,
}

impl fmt::Debug for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Created").field("credential", &self.credential).finish_non_exhaustive()
    }
}

/// Makes a credential. The broker need not be reachable.
///
/// # Errors
/// Not allowed, no name, name or purpose too long, no such environment, an end that has passed, too many are good already, or the address of the
/// broker is not known yet.
pub async fn create(state: &AppState, actor: &Actor, at: &ProjectAt, new: New<'_>) -> Result<Created> {
    at.require(actor, Action::ManageCredentials)?;
    let name = within("name", "a name", new.name, NAME_MAX)?;
    let purpose = within("purpose", "a purpose", new.purpose, PURPOSE_MAX)?;
    if name.is_empty() {
        return Err(ApiError::invalid("invalid", "name", "say which service the credential is for"));
    }
    let now = clock::now();
    let expires_at = new.ends.at();
    if expires_at.is_some_and(|end| end <= now) {
        return Err(ApiError::invalid("invalid", "expires_at", "this end has passed already"));
    }
    let environment = find_environment(state, actor, at, new.environment).await?;
    let scope = at.scope(&environment)?;
    let roots = trusted_roots(state).await?;
    let connection = Connection {
        schema_version: SCHEMA_VERSION,
        servers: state.broker.addresses()?,
        scope: scope.clone(),
        roots,
        forge_url: Some(format!("{}/{}", state.public_url, at.path())),
        tls: state.tls.for_agents(&state.config)?,
    };
    let mut tx = state.database.write().await?;
    project_in_use(&mut tx, at).await?;
    if credential::count_good(&mut tx, &at.project.id, now).await? >= GOOD_MAX {
        return Err(ApiError::conflict(
            "too_many",
            format!("this project has {GOOD_MAX} credentials that are good; revoke those that nobody uses"),
        ));
    }
    let keys = state.keys.project(&mut tx, &at.project.id).await?;
    let minted = credentials::mint(&keys, new.kind, &scope, &name, expires_at).map_err(ApiError::internal)?;
    let row = Credential {
        id: clock::new_id(),
        project_id: at.project.id.clone(),
        environment_id: environment.id.clone(),
        name,
        kind: if new.kind == Role::Agent { "agent" } else { "inspect" }.into(),
        public_key: minted.public_key.clone(),
        created_by: actor.name.clone(),
        created_at: now,
        expires_at,
        revoked_at: None,
        revoked_by: None,
        last_seen_at: None,
        purpose,
        last_seen_agent: None,
        last_seen_address: None,
    };
    credential::insert(&mut tx, &row).await?;
    let subject = format!("{}/{}", at.path(), environment.slug);
    let detail = json!({
        "name": row.name, "kind": row.kind, "public_key": row.public_key,
        "expires_at": row.expires_at.map(clock::rfc3339),
    });
    audit::record(&mut tx, actor, &at.organisation.id, "credential.created", &subject, detail).await?;
    tx.commit().await?;
    state.events.tell(&at.organisation.id, &at.project.id, Kind::Credentials);
    let line = ConnectString { connection: connection.clone(), creds: minted.creds.to_string() }.to_line();
    Ok(Created { credential: row, environment, creds: minted.creds, connect_line: line.into(), connection })
}

/// The roots that a new agent trusts: the one that signs first, and those that it followed.
async fn trusted_roots(state: &AppState) -> Result<Vec<String>> {
    let mut conn = state.database.read().await?;
    let mut roots = signing::roots(&mut conn).await?;
    roots.retain(|key| key.state != "revoked");
    Ok(roots.into_iter().rev().map(|key| key.public_key).collect())
}

/// The credentials of a project, newest first.
///
/// # Errors
/// Not allowed, or the database refuses.
pub async fn list(state: &AppState, actor: &Actor, at: &ProjectAt) -> Result<Vec<(Credential, Environment)>> {
    at.require(actor, Action::ManageCredentials)?;
    let mut conn = state.database.read().await?;
    Ok(credential::of_project(&mut conn, &at.project.id).await?)
}

/// Revokes a credential: the broker refuses it from now on, and cuts off who is connected with it.
/// With the broker out of reach it is refused as soon as the broker is back. Gives whether the
/// broker knows already.
///
/// # Errors
/// Not allowed, or no such credential.
pub async fn revoke(state: &AppState, actor: &Actor, at: &ProjectAt, id: &str) -> Result<bool> {
    at.require(actor, Action::ManageCredentials)?;
    let mut tx = state.database.write().await?;
    let row =
        credential::by_id(&mut tx, &at.project.id, id).await?.ok_or(ApiError::NotFound("credential"))?;
    if credential::revoke(&mut tx, &row.id, clock::now(), &actor.name).await? {
        let detail = json!({ "name": row.name, "public_key": row.public_key });
        audit::record(&mut tx, actor, &at.organisation.id, "credential.revoked", &at.path(), detail).await?;
    }
    tx.commit().await?;
    let cut = broker::cut_off(state, at, &row.public_key).await;
    if let Err(error) = &cut {
        tracing::warn!(credential.key = %row.public_key, error = %chain(error), "the broker does not know of the revocation yet");
        state.broker.provision();
    }
    state.events.tell(&at.organisation.id, &at.project.id, Kind::Credentials);
    Ok(cut.is_ok())
}
