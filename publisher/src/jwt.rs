//! JWTs (version 2) of the NATS operator mode, minted and read.
//!
//! Header `{"typ":"JWT","alg":"ed25519-nkey"}`, base64url without padding, an Ed25519 signature of
//! the issuer's nkey. The claims are those of the server's own reference (`nats-io/jwt` v2).

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::KeyPair;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha512_256};
use zeroize::Zeroizing;

use crate::keys::{Key, KeyError};

const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;
/// The server takes no larger account JWT, in bytes.
pub const ACCOUNT_MAX: usize = 1024 * 1024;

/// Why a token or a credentials file was not made or not read.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    #[error("the token is not a JWT of three parts")]
    Shape,
    #[error("a part of the token is not base64url")]
    Encoding,
    #[error("the token's claims are not JSON of the expected shape")]
    Json(#[source] serde_json::Error),
    #[error("the token's header is not that of an nkey JWT")]
    Header,
    #[error("the token is issued by {found}, not by {expected}")]
    Issuer { expected: String, found: String },
    #[error("the token's signature does not fit")]
    Signature,
    #[error(
        "the account JWT would have {found} bytes; the server takes {ACCOUNT_MAX}: let revoked credentials expire"
    )]
    TooLarge { found: usize },
    #[error("this is no credentials file: it needs a user JWT and an nkey seed between their banners")]
    Credentials,
    #[error("the token cannot be signed")]
    Key(#[source] KeyError),
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// In seconds since 1970.
    pub iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    pub iss: String,
    #[serde(default)]
    pub name: String,
    pub sub: String,
    pub nats: Value,
}

impl Claims {
    /// Whether both say the same, whenever they were issued.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        (&self.exp, &self.iss, &self.name, &self.sub, &self.nats)
            == (&other.exp, &other.iss, &other.name, &other.sub, &other.nats)
    }
}

/// Signs `claims` as the issuer they name; the id is computed.
///
/// # Errors
/// [`JwtError::Issuer`] where the key is not that issuer's.
pub fn mint(signer: &Key, mut claims: Claims) -> Result<String, JwtError> {
    if claims.iss != signer.public() {
        return Err(JwtError::Issuer { expected: claims.iss, found: signer.public().to_owned() });
    }
    claims.jti.clear();
    let unidentified = serde_json::to_vec(&claims).map_err(JwtError::Json)?;
    claims.jti = BASE32_NOPAD.encode(&Sha512_256::digest(&unidentified));
    let body = serde_json::to_vec(&claims).map_err(JwtError::Json)?;
    let mut token = BASE64URL_NOPAD.encode(HEADER.as_bytes());
    token.push('.');
    token.push_str(&BASE64URL_NOPAD.encode(&body));
    let signature = signer.sign(token.as_bytes()).map_err(JwtError::Key)?;
    token.push('.');
    token.push_str(&BASE64URL_NOPAD.encode(&signature));
    Ok(token)
}

/// Reads a token that `issuer` must have signed.
///
/// # Errors
/// Everything that is not as it should be.
pub fn verify(token: &str, issuer: &str) -> Result<Claims, JwtError> {
    let (signed, signature) = token.trim().rsplit_once('.').ok_or(JwtError::Shape)?;
    let (header, body) = signed.split_once('.').ok_or(JwtError::Shape)?;
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| JwtError::Encoding);
    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(JwtError::Json)?;
    if header.alg != "ed25519-nkey" {
        return Err(JwtError::Header);
    }
    let claims: Claims = serde_json::from_slice(&decode(body)?).map_err(JwtError::Json)?;
    if claims.iss != issuer {
        return Err(JwtError::Issuer { expected: issuer.to_owned(), found: claims.iss });
    }
    KeyPair::from_public_key(issuer)
        .and_then(|key| key.verify(signed.as_bytes(), &decode(signature).unwrap_or_default()))
        .map_err(|_| JwtError::Signature)?;
    Ok(claims)
}

/// Whom a token is about, believed of nobody: for telling which one to look at.
#[must_use]
pub fn subject_unverified(token: &str) -> Option<String> {
    let body = token.trim().split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&BASE64URL_NOPAD.decode(body.as_bytes()).ok()?).ok()?;
    Some(claims.sub)
}

/// The text of a `.creds` file. **Secret.**
///
/// Five dashes at BEGIN, six at END: that is how every client expects it.
#[must_use]
pub fn credentials_file(token: &str, user: &Key) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         ************************* IMPORTANT *************************\n\
         This seed proves who you are. Keep this file secret; readable by its owner only.\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n\n\
         *************************************************************\n",
        user.seed().as_str()
    ))
}

/// Token and seed of a `.creds` file.
///
/// # Errors
/// [`JwtError::Credentials`], never with any of the text in it.
pub fn read_credentials(text: &str) -> Result<(String, Zeroizing<String>), JwtError> {
    let mut parts = Vec::with_capacity(2);
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with("---") && line.contains("BEGIN") {
            parts.push(lines.find(|l| !l.is_empty()).ok_or(JwtError::Credentials)?);
        }
    }
    match parts.as_slice() {
        [token, seed] if token.contains('.') && seed.starts_with("SU") => {
            Ok(((*token).to_owned(), Zeroizing::new((*seed).to_owned())))
        }
        _ => Err(JwtError::Credentials),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys::Kind;

    fn claims(issuer: &Key) -> Claims {
        Claims {
            jti: String::new(),
            iat: 1_700_000_000,
            exp: None,
            iss: issuer.public().to_owned(),
            name: "it".into(),
            sub: "U".into(),
            nats: json!({"type": "user", "version": 2}),
        }
    }

    #[test]
    fn a_token_reads_back_and_any_changed_letter_is_noticed() {
        let key = Key::generate(Kind::Account);
        let token = mint(&key, claims(&key)).unwrap();
        let read = verify(&token, key.public()).unwrap();
        assert!(read.says_the_same(&claims(&key)));
        assert_eq!(read.jti.len(), 52);
        for i in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[i] = if bytes[i] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&changed, key.public()).is_err(), "letter {i}");
        }
    }

    #[test]
    fn nobody_signs_for_another() {
        let (key, stranger) = (Key::generate(Kind::Account), Key::generate(Kind::Account));
        assert!(mint(&stranger, claims(&key)).is_err());
        let token = mint(&stranger, claims(&stranger)).unwrap();
        assert!(matches!(verify(&token, key.public()), Err(JwtError::Issuer { .. })));
    }

    #[test]
    fn a_credentials_file_reads_back() {
        let user = Key::generate(Kind::User);
        let text = credentials_file("a.b.c", &user);
        let (token, seed) = read_credentials(&text).unwrap();
        assert_eq!((token.as_str(), seed.as_str()), ("a.b.c", user.seed().as_str()));
        let cut = &text[..text.len() / 2];
        assert!(read_credentials(cut).is_err());
    }
}
