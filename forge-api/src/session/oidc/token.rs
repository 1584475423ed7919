//! The check of an ID token: `jsonwebtoken` reads it and holds its claims against what was expected; the signature is
//! checked by *ring*, as everything else here is.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation};
use ring::signature as ring_signature;
use serde::Deserialize;

use crate::clock;
use crate::config::Oidc;

/// What is taken of a provider: signatures by a public key, and none weaker than these.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
/// Clocks may differ by so many seconds.
const LEEWAY: u64 = 60;
/// A token is taken that was made so many seconds ago at most.
const AGE_MAX: i64 = 15 * 60;

/// What the provider says of somebody.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    email: String,
    /// Some providers write it as text.
    #[serde(default)]
    email_verified: serde_json::Value,
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    aud: serde_json::Value,
    iat: i64,
}

impl Claims {
    /// The address, where the provider calls it verified.
    pub(super) fn verified_email(&self) -> Option<String> {
        let verified = self.email_verified == true || self.email_verified == "true";
        verified.then_some(&self.email).and_then(|email| crate::session::account::address(email).ok())
    }
}

/// Why an ID token is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the token does not hold")]
    Bad(#[from] Error),
    #[error("no key of the provider fits the token")]
    NoKey,
    #[error("the token was not made for this sign-in: {0}")]
    Other(&'static str),
}

/// Checks an ID token (OpenID Connect Core 1.0, 3.1.3.7): signature, issuer, audience, times, nonce.
pub(super) fn check(text: &str, keys: &JwkSet, config: &Oidc, nonce: &str) -> Result<Claims, TokenError> {
    install();
    let header = jsonwebtoken::decode_header(text)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Error::from(ErrorKind::InvalidAlgorithm).into());
    }
    let mut validation = Validation::new(header.alg);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[&config.issuer]);
    validation.set_audience(&[&config.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let mut last = TokenError::NoKey;
    for key in keys.keys.iter().filter(|key| fits(key, header.kid.as_deref())) {
        let Ok(key) = DecodingKey::from_jwk(key) else { continue };
        match jsonwebtoken::decode::<Claims>(text, &key, &validation) {
            Ok(data) => return meant(data.claims, config, nonce),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

fn fits(key: &Jwk, kid: Option<&str>) -> bool {
    let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    signs && kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid))
}

/// What a good signature does not say: that the token was made for this very sign-in.
fn meant(claims: Claims, config: &Oidc, nonce: &str) -> Result<Claims, TokenError> {
    let several = claims.aud.as_array().is_some_and(|all| all.len() > 1);
    let now = clock::now() / 1_000_000;
    let leeway = i64::try_from(LEEWAY).unwrap_or_default();
    match &claims.azp {
        Some(azp) if *azp != config.client_id => return Err(TokenError::Other("it is for another client")),
        None if several => return Err(TokenError::Other("it is for several clients and names none")),
        _ => {}
    }
    if !crate::session::same(&claims.nonce, nonce) {
        return Err(TokenError::Other("another nonce"));
    }
    if claims.iat > now + leeway || claims.iat < now - AGE_MAX {
        return Err(TokenError::Other("it is too old, or from times to come"));
    }
    if claims.sub.is_empty() || claims.sub.len() > 255 {
        return Err(TokenError::Other("it names nobody"));
    }
    Ok(claims)
}

/// Once for the process: nothing else here uses `jsonwebtoken`.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

static PROVIDER: CryptoProvider = CryptoProvider {
    // Nothing is signed here.
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        compute_digest: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
};

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if algorithm.family() != key.family() || !ALGORITHMS.contains(algorithm) {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(ByRing { algorithm: *algorithm, key: key.clone() }))
}

struct ByRing {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for ByRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for ByRing {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let bad = |_| signature::Error::new();
        let plain = |algorithm: &'static dyn ring_signature::VerificationAlgorithm| {
            let DecodingKeyKind::SecretOrDer(key) = self.key.kind() else {
                return Err(signature::Error::new());
            };
            ring_signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature).map_err(bad)
        };
        let rsa = |algorithm: &'static ring_signature::RsaParameters| {
            let DecodingKeyKind::RsaModulusExponent { n, e } = self.key.kind() else {
                return Err(signature::Error::new());
            };
            ring_signature::RsaPublicKeyComponents { n, e }.verify(algorithm, message, signature).map_err(bad)
        };
        match self.algorithm {
            Algorithm::RS256 => rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::PS256 => rsa(&ring_signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::ES256 => plain(&ring_signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => plain(&ring_signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => plain(&ring_signature::ED25519),
            _ => Err(signature::Error::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    const MESSAGE: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

    /// The example of RFC 7515, appendix A.2.
    #[test]
    fn a_signature_of_the_standard_holds_and_a_changed_one_does_not() {
        let signature = data_encoding::BASE64URL_NOPAD.decode(SIGNATURE.as_bytes()).unwrap();
        let key = DecodingKey::from_rsa_components(MODULUS, "AQAB").unwrap();
        let by = |algorithm| verifier(&algorithm, &key).unwrap();
        assert!(by(Algorithm::RS256).verify(MESSAGE.as_bytes(), &signature).is_ok());
        assert!(by(Algorithm::PS256).verify(MESSAGE.as_bytes(), &signature).is_err());
        let mut changed = signature.clone();
        changed[0] ^= 1;
        assert!(by(Algorithm::RS256).verify(MESSAGE.as_bytes(), &changed).is_err());
        let other = MESSAGE.replace("eyJpc3Mi", "eyJpc3Nj");
        assert!(by(Algorithm::RS256).verify(other.as_bytes(), &signature).is_err());
        // A public key is no shared secret: the algorithm of the token does not choose another use of it.
        assert!(verifier(&Algorithm::HS256, &key).is_err());
        assert!(verifier(&Algorithm::ES256, &key).is_err());
    }
}
