//! Signing in with a provider of OpenID Connect: the authorization code flow with PKCE, state and nonce.
//!
//! What the browser has to bring back is in a cookie that we signed, so nothing is stored for who only looks. Of a
//! provider's word counts what it signed: who somebody is by `sub`, and an e-mail address that it calls verified.
//! Nobody comes in whom no invitation waits for, unless their domain is let in.
//!
//! | module | what it holds |
//! |---|---|
//! | `provider` | discovery, keys, the exchange of a code |
//! | `token` | the check of an ID token |
//! | `http` | one bounded request to the provider |

mod http;
mod provider;
mod token;

use schemas::Micros;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use self::provider::Provider;
use self::token::Claims;
use super::account::{insert, new_user};
use super::invitation::join_waiting;
use super::{Client, NewSession, begin, end_all, newcomer, random_token, same};
use crate::audit::{self, INSTALLATION};
use crate::auth::Actor;
use crate::author::organisation::{personal, title};
use crate::clock;
use crate::config::Oidc;
use crate::database::user::{self, User};
use crate::database::{Tx, identity, invitation};
use crate::error::{ApiError, Result, chain};
use crate::state::AppState;

/// Who went to the provider comes back within so long, in microseconds.
pub const ROUND: Micros = 10 * 60 * 1_000_000;
/// Where the provider sends the browser back to, below the public address.
pub const CALLBACK: &str = "/-/oidc/callback";

/// What the browser carries to the provider and back, signed by us.
#[derive(Serialize, Deserialize)]
struct Carried {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    until: Micros,
}

/// Where a browser goes, and what it carries along.
pub struct Start {
    pub location: String,
    /// **Secret**, for a cookie.
    pub carried: String,
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start").finish_non_exhaustive()
    }
}

/// What the provider sent the browser back with.
#[derive(Debug, Default, Deserialize)]
pub struct Returned {
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub error: String,
}

fn configured(state: &AppState) -> Result<&Oidc> {
    state.config.oidc.as_ref().ok_or(ApiError::NotFound("page"))
}

/// Sends a browser to the provider.
///
/// # Errors
/// No provider is configured, it cannot be reached, or too many tries.
pub async fn start(state: &AppState, client: &Client, next: &str) -> Result<Start> {
    let config = configured(state)?;
    state.limits.link(client.address)?;
    let provider = Provider::discover(config).await.map_err(unreachable)?;
    let carried = Carried {
        state: random_token(),
        nonce: random_token(),
        verifier: random_token(),
        next: next.chars().take(1000).collect(),
        until: clock::now() + ROUND,
    };
    let challenge = data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(carried.verifier.as_bytes()));
    let back = redirect(state);
    let query: [(&str, &str); 8] = [
        ("response_type", "code"),
        ("client_id", &config.client_id),
        ("redirect_uri", &back),
        ("scope", "openid email profile"),
        ("state", &carried.state),
        ("nonce", &carried.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let location = provider.authorize(&query);
    Ok(Start { location, carried: seal(state, &carried)? })
}

fn redirect(state: &AppState) -> String {
    format!("{}{CALLBACK}", state.public_url)
}

fn unreachable(error: provider::ProviderError) -> ApiError {
    tracing::warn!(error = %chain(&error), "the provider of OpenID Connect gave no good answer");
    ApiError::Unavailable(
        "the provider that signs you in gives no good answer at the moment; try again".into(),
    )
}

fn seal(state: &AppState, carried: &Carried) -> Result<String> {
    let text = serde_json::to_vec(carried).map_err(ApiError::internal)?;
    let text = data_encoding::BASE64URL_NOPAD.encode(&text);
    let tag = state.browser_key.sign(signed(&text).as_bytes());
    Ok(format!("{text}.{}", tag.trim_start_matches("hmac-sha256:")))
}

/// What is signed is told apart from all else that the same key signs.
fn signed(text: &str) -> String {
    format!("oidc\n\n{text}")
}

fn open(state: &AppState, cookie: &str) -> Option<Carried> {
    let (text, tag) = cookie.split_once('.')?;
    let tag = format!("hmac-sha256:{tag}");
    if !state.browser_key.verify(signed(text).as_bytes(), &tag) {
        return None;
    }
    let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    let carried: Carried = serde_json::from_slice(&bytes).ok()?;
    (carried.until > clock::now()).then_some(carried)
}

/// Why nobody came in. The words are for the person; the audit log has more.
fn refused(code: &'static str, detail: impl Into<String>) -> ApiError {
    ApiError::Invalid { code, field: None, detail: detail.into() }
}

/// Signs in who comes back from the provider; gives where they wanted to go.
///
/// # Errors
/// Codes `sso_state` (another browser, too late, or twice), `sso_refused` (the provider said no, or its word does
/// not hold), `email_unverified`, `unknown_person`; too many tries.
pub async fn finish(
    state: &AppState,
    client: &Client,
    cookie: Option<&str>,
    returned: &Returned,
) -> Result<(NewSession, String)> {
    let done = enter(state, client, cookie, returned).await;
    if let Err(error @ (ApiError::Invalid { .. } | ApiError::TooMany { .. })) = &done {
        let why = format!("{}: {error}", error.code());
        state.refusals.take(state, client.refusal("sign_in.refused", "OpenID Connect", &why));
    }
    done
}

async fn enter(
    state: &AppState,
    client: &Client,
    cookie: Option<&str>,
    returned: &Returned,
) -> Result<(NewSession, String)> {
    let config = configured(state)?;
    state.limits.link(client.address)?;
    let carried = cookie.and_then(|cookie| open(state, cookie)).filter(|c| same(&c.state, &returned.state));
    let carried = carried.ok_or_else(|| {
        refused("sso_state", "this sign-in began in another browser or too long ago; begin again")
    })?;
    if !returned.error.is_empty() || returned.code.is_empty() {
        return Err(refused("sso_refused", format!("{} did not sign you in; try again", config.name)));
    }
    let provider = Provider::discover(config).await.map_err(unreachable)?;
    let back = redirect(state);
    let id_token = match provider.exchange(config, &returned.code, &back, &carried.verifier).await {
        Ok(id_token) => id_token,
        Err(provider::ProviderError::Refused(_)) => {
            return Err(refused("sso_refused", format!("{} did not sign you in; try again", config.name)));
        }
        Err(error) => return Err(unreachable(error)),
    };
    let keys = provider.keys().await.map_err(unreachable)?;
    let claims = token::check(&id_token, &keys, config, &carried.nonce).map_err(|error| {
        tracing::warn!(error = %chain(&error), "an ID token of the provider was refused");
        refused(
            "sso_refused",
            format!("the word of {} does not hold; tell the operator of forge", config.name),
        )
    })?;
    let user = admit(state, config, &claims).await?;
    Ok((begin(state, client, user, "openid_connect").await?, carried.next))
}

/// The user of a provider's word: known by it, known by the address, or let in.
async fn admit(state: &AppState, config: &Oidc, claims: &Claims) -> Result<User> {
    let disabled = || refused("sso_refused", "this account is shut; ask the operator of forge");
    let mut tx = state.database.write().await?;
    if let Some(user) = identity::user(&mut tx, &config.issuer, &claims.sub).await? {
        if user.disabled {
            return Err(disabled());
        }
        if claims.verified_email().as_deref() == Some(user.email.as_str()) {
            join_waiting(&mut tx, &newcomer(&user)).await?;
        }
        tx.commit().await?;
        return Ok(user);
    }
    let email = claims.verified_email().ok_or_else(|| {
        let why = format!("{} does not vouch for your e-mail address: have it verified there", config.name);
        refused("email_unverified", why)
    })?;
    let user = match user::by_email(&mut tx, &email).await? {
        Some(user) if user.disabled => return Err(disabled()),
        Some(user) => known(&mut tx, user).await?,
        None => {
            let invited = !invitation::waiting_for(&mut tx, &email, clock::now()).await?.is_empty();
            if !invited && !config.lets_in(&email) {
                let why = format!("nobody has invited {email} yet; ask an owner of your organisation");
                return Err(refused("unknown_person", why));
            }
            unknown(state, &mut tx, &email, claims).await?
        }
    };
    let actor = newcomer(&user);
    let linked = identity::insert(&mut tx, &config.issuer, &claims.sub, &user.id, clock::now()).await;
    linked.map_err(|error| match error.is_duplicate() {
        true => refused("sso_state", "this sign-in was finished a moment ago; begin again"),
        false => error.into(),
    })?;
    let detail = json!({ "issuer": config.issuer });
    audit::record(&mut tx, &actor, INSTALLATION, "identity.linked", &user.email, detail).await?;
    join_waiting(&mut tx, &actor).await?;
    tx.commit().await?;
    Ok(user)
}

/// A user who had an account before. Where nobody had shown that the address is theirs, somebody else may have made
/// it to lie in wait: what opened it until now opens it no more.
async fn known(tx: &mut Tx, user: User) -> Result<User> {
    if user.proven_at.is_none() {
        user::clear_password(tx, &user.id).await?;
        let (ended, revoked) = end_all(tx, &user.id, true).await?;
        user::set_proven(tx, &user.id, clock::now()).await?;
        let detail = json!({ "sessions_ended": ended, "tokens_revoked": revoked });
        let actor: Actor = newcomer(&user);
        audit::record(tx, &actor, INSTALLATION, "user.proven", &user.email, detail).await?;
    }
    Ok(user)
}

async fn unknown(state: &AppState, tx: &mut Tx, email: &str, claims: &Claims) -> Result<User> {
    let name: String = claims.name.chars().filter(|c| !c.is_control()).collect();
    // Nobody here typed it: one that is too long is cut rather than keep somebody out.
    let row = new_user(email, &title(&name, email), None).await?;
    let row = User { proven_at: Some(row.created_at), ..row };
    let actor = newcomer(&row);
    insert(tx, &actor, &row).await?;
    personal(state, tx, &actor).await?;
    Ok(row)
}
