//! Credentials: the access of an agent to one environment of one project. Shown once, never stored.

use std::fmt;

use publisher::credentials::{self, Role};
use schemas::Micros;
use schemas::connect::{ConnectString, Connection, SCHEMA_VERSION};
use serde_json::json;
use zeroize::Zeroizing;

use crate::audit;
use crate::auth::{Action, Actor};
use crate::author::{ProjectAt, find_environment};
use crate::broker;
use crate::clock;
use crate::database::credential::{self, Credential};
use crate::database::project::Environment;
use crate::database::signing;
use crate::error::{ApiError, Result, chain};
use crate::events::Kind;
use crate::state::AppState;

/// What a new credential is for.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    pub environment: &'a str,
    /// For people: which service it is for.
    pub name: &'a str,
    pub kind: Role,
    pub expires_at: Option<Micros>,
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
/// Not allowed, no name, no such environment, an end that has passed, or the address of the broker
/// is not known yet.
pub async fn create(state: &AppState, actor: &Actor, at: &ProjectAt, new: New<'_>) -> Result<Created> {
    actor.require(&at.organisation.id, Action::ManageCredentials)?;
    let name: String = new.name.trim().chars().take(100).collect();
    if name.is_empty() {
        return Err(ApiError::invalid("invalid", "name", "say which service the credential is for"));
    }
    let now = clock::now();
    if new.expires_at.is_some_and(|end| end <= now) {
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
    };
    let mut tx = state.database.write().await?;
    let keys = state.keys.project(&mut tx, &at.project.id).await?;
    let minted =
        credentials::mint(&keys, new.kind, &scope, &name, new.expires_at).map_err(ApiError::internal)?;
    let row = Credential {
        id: clock::new_id(),
        project_id: at.project.id.clone(),
        environment_id: environment.id.clone(),
        name,
        kind: if new.kind == Role::Agent { "agent" } else { "inspect" }.into(),
        public_key: minted.public_key.clone(),
        created_by: actor.name.clone(),
        created_at: now,
        expires_at: new.expires_at,
        revoked_at: None,
        revoked_by: None,
        last_seen_at: None,
    };
    credential::insert(&mut tx, &row).await?;
    let subject = format!("{}/{}", at.path(), environment.slug);
    let detail = json!({ "name": row.name, "kind": row.kind, "public_key": row.public_key });
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
    actor.require(&at.organisation.id, Action::ManageCredentials)?;
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
    actor.require(&at.organisation.id, Action::ManageCredentials)?;
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
