//! The provider: what it says of itself, its keys, and the exchange of a code for an ID token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::http;
use crate::config::Oidc;
use crate::ui::encoded;

/// Why the provider did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
    #[error("{what} of the provider could not be had")]
    Unreachable {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{what} of the provider cannot be used: {why}")]
    Unusable { what: &'static str, why: String },
    /// It took the request, and said no.
    #[error("the provider refused the code: {0}")]
    Refused(String),
}

/// What the provider says of itself (OpenID Connect Discovery 1.0).
#[derive(Debug, Deserialize)]
pub(super) struct Provider {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    id_token: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
}

impl Provider {
    /// Asks the issuer.
    pub(super) async fn discover(config: &Oidc) -> Result<Self, ProviderError> {
        let what = "the description";
        let address = format!("{}/.well-known/openid-configuration", config.issuer.trim_end_matches('/'));
        let found: Self = get(what, &address).await?;
        if found.issuer != config.issuer {
            let why = format!("it calls itself {:?}, and oidc-issuer is {:?}", found.issuer, config.issuer);
            return Err(ProviderError::Unusable { what, why });
        }
        for address in [&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri] {
            if !Oidc::is_safe(address) {
                let why = format!("{address:?} is no https address");
                return Err(ProviderError::Unusable { what, why });
            }
        }
        Ok(found)
    }

    /// Where a browser goes to sign in.
    pub(super) fn authorize(&self, query: &[(&str, &str)]) -> String {
        let sign = if self.authorization_endpoint.contains('?') { '&' } else { '?' };
        format!("{}{sign}{}", self.authorization_endpoint, form(query))
    }

    /// The keys that the provider signs with at the moment.
    pub(super) async fn keys(&self) -> Result<JwkSet, ProviderError> {
        get("the keys", &self.jwks_uri).await
    }

    /// Exchanges a code for the ID token.
    pub(super) async fn exchange(
        &self,
        config: &Oidc,
        code: &str,
        redirect: &str,
        verifier: &str,
    ) -> Result<String, ProviderError> {
        let what = "the token";
        let unreachable = |source| ProviderError::Unreachable { what, source };
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
            ("client_id", config.client_id.as_str()),
        ];
        // The default of the standard, where the provider does not say.
        let basic = self
            .token_endpoint_auth_methods_supported
            .as_ref()
            .is_none_or(|known| known.iter().any(|m| m == "client_secret_basic"));
        let mut request = Request::post(&self.token_endpoint)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        match &config.client_secret {
            Some(secret) if basic => {
                let login = format!("{}:{}", encoded(&config.client_id), encoded(secret));
                request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(login)));
            }
            Some(secret) => fields.push(("client_secret", secret.as_str())),
            None => {}
        }
        let request = request.body(Full::from(form(&fields))).map_err(|e| unreachable(e.into()))?;
        let (status, body) = http::send(request).await.map_err(unreachable)?;
        if (400..500).contains(&status) {
            let said = serde_json::from_slice::<Refusal>(&body).map(|r| r.error).unwrap_or_default();
            return Err(ProviderError::Refused(said.chars().take(100).collect()));
        }
        let tokens: Tokens = read(what, status, &body)?;
        match tokens.id_token.is_empty() {
            true => Err(ProviderError::Unusable { what, why: "it holds no ID token".into() }),
            false => Ok(tokens.id_token),
        }
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.join("&")
}

async fn get<T: DeserializeOwned>(what: &'static str, address: &str) -> Result<T, ProviderError> {
    let unreachable = |source| ProviderError::Unreachable { what, source };
    let request = Request::get(address).header(ACCEPT, "application/json").body(Full::<Bytes>::default());
    let (status, body) =
        http::send(request.map_err(|e| unreachable(e.into()))?).await.map_err(unreachable)?;
    read(what, status, &body)
}

fn read<T: DeserializeOwned>(what: &'static str, status: u16, body: &[u8]) -> Result<T, ProviderError> {
    if status != 200 {
        return Err(ProviderError::Unusable { what, why: format!("status {status}") });
    }
    serde_json::from_slice(body).map_err(|e| ProviderError::Unusable { what, why: e.to_string() })
}
