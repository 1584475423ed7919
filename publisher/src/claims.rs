//! What each token says: operator, accounts, users.

use nats_config::account::{self, Permissions};
use nats_config::conf::Operator;
use schemas::{Micros, Slug};
use serde::Serialize;
use serde_json::{Value, json};

use crate::jwt::{self, Claims, JwtError};
use crate::keys::{Key, KeyRing, ProjectKeys};

/// Everything about a project that its account JWT says. The caller's database is its truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    pub organisation: Slug,
    pub project: Slug,
    pub environments: Vec<Slug>,
    /// Credentials that are no longer good. One that has expired by itself may be left out.
    pub revocations: Vec<Revocation>,
}

/// A credential that is no longer good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Public key of the user.
    pub user: String,
    /// Tokens issued until then are refused.
    pub at: Micros,
}

/// Version of the JWT format.
const VERSION: u32 = 2;

fn value<T: Serialize>(value: &T) -> Result<Value, JwtError> {
    serde_json::to_value(value).map_err(JwtError::Json)
}

pub(crate) fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| Micros::try_from(d.as_micros()).unwrap_or(Micros::MAX))
}

fn seconds(at: Micros) -> i64 {
    at.div_euclid(1_000_000)
}

fn claims(issuer: &Key, subject: &str, name: &str, nats: Value) -> Claims {
    Claims {
        jti: String::new(),
        iat: seconds(now()),
        exp: None,
        iss: issuer.public().to_owned(),
        name: name.to_owned(),
        sub: subject.to_owned(),
        nats,
    }
}

/// Limits of FORGE's own accounts: none.
fn limits() -> Value {
    json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "conn": -1, "leaf": -1, "wildcards": true,
    })
}

/// What a server needs to trust this installation: goes into its configuration.
///
/// # Errors
/// [`JwtError`] where a key cannot sign.
pub fn operator_files(keys: &KeyRing) -> Result<Operator, JwtError> {
    let operator = claims(
        &keys.operator,
        keys.operator.public(),
        "anvil",
        json!({
            "type": "operator", "version": VERSION,
            "signing_keys": [keys.operator_signing.public()],
            "system_account": keys.system_account.public(),
        }),
    );
    let system = claims(
        &keys.operator_signing,
        keys.system_account.public(),
        account::SYSTEM,
        json!({ "type": "account", "version": VERSION, "limits": limits() }),
    );
    Ok(Operator {
        operator: jwt::mint(&keys.operator, operator)?,
        system_account: keys.system_account.public().to_owned(),
        system_jwt: jwt::mint(&keys.operator_signing, system)?,
    })
}

/// The account that owns every stream.
pub(crate) fn forge_account(keys: &KeyRing) -> Result<Claims, JwtError> {
    let mut limits = limits();
    for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
        limits[limit] = json!(-1);
    }
    let nats = json!({
        "type": "account", "version": VERSION, "limits": limits,
        "exports": value(&account::exports())?,
    });
    Ok(claims(&keys.operator_signing, keys.forge_account.public(), account::FORGE, nats))
}

/// The account of a project's agents.
pub(crate) fn agents_account(
    keys: &KeyRing,
    project_keys: &ProjectKeys,
    project: &Project,
) -> Result<Claims, JwtError> {
    let Project { organisation, project: slug, environments, revocations } = project;
    let mut environments = environments.clone();
    environments.sort();
    environments.dedup();
    let imports = account::imports(organisation, slug, &environments, keys.forge_account.public());
    let revocations: serde_json::Map<String, Value> =
        revocations.iter().map(|r| (r.user.clone(), json!(seconds(r.at)))).collect();
    let scope = |key: &Key, role: &str, template: Permissions| -> Result<Value, JwtError> {
        let mut template = value(&template)?;
        template["subs"] = json!(account::SUBSCRIPTIONS_MAX);
        template["payload"] = json!(account::PAYLOAD_MAX);
        template["data"] = json!(-1);
        Ok(json!({ "kind": "user_scope", "key": key.public(), "role": role, "template": template }))
    };
    let mut limits = limits();
    limits["conn"] = json!(account::CONNECTIONS_MAX);
    let nats = json!({
        "type": "account", "version": VERSION, "limits": limits,
        "imports": value(&imports)?,
        "signing_keys": [
            scope(&project_keys.credentials, account::ROLE_AGENT, account::agent_template(organisation, slug))?,
            scope(&project_keys.inspection, account::ROLE_INSPECT, account::inspect_template(organisation, slug))?,
        ],
        "revocations": revocations,
        "default_permissions": value(&Permissions::none())?,
    });
    let name = nats_config::subject::agents_account(organisation, slug);
    Ok(claims(&keys.operator_signing, project_keys.account.public(), &name, nats))
}

/// A user under a scoped key: it carries no permissions of its own, only its environment.
pub(crate) fn scoped_user(
    signer: &Key,
    account: &Key,
    user: &str,
    name: &str,
    environment: &Slug,
    expires: Option<Micros>,
) -> Claims {
    let nats = json!({
        "type": "user", "version": VERSION,
        "issuer_account": account.public(),
        "tags": [format!("{}:{environment}", account::ENVIRONMENT_TAG)],
        "pub": {}, "sub": {},
    });
    Claims { exp: expires.map(seconds), ..claims(signer, user, name, nats) }
}

/// A user of FORGE's own accounts, signed by the account itself, with its permissions.
pub(crate) fn own_user(
    account: &Key,
    user: &str,
    name: &str,
    permissions: &Permissions,
    expires: Option<Micros>,
) -> Result<Claims, JwtError> {
    let mut nats = value(permissions)?;
    for limit in ["subs", "data", "payload"] {
        nats[limit] = json!(-1);
    }
    nats["type"] = json!("user");
    nats["version"] = json!(VERSION);
    Ok(Claims { exp: expires.map(seconds), ..claims(account, user, name, nats) })
}
