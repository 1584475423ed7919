//! Passwords, by Argon2id.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use zeroize::Zeroizing;

use crate::aside::{PASSWORDS, aside};
use crate::error::{ApiError, Result};

/// Shortest password, in characters.
pub const PASSWORD_MIN: usize = 12;
/// Longest password, in bytes.
const PASSWORD_MAX: usize = 1024;
/// Somebody unknown costs as much as somebody known: the hash of no password, with the same parameters.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$JcWXNoC8Zk9H4WWC1aFoVdlrRSN3GnKSp8gWyPpqLVI";

pub(super) async fn hash(password: &str) -> Result<String> {
    if password.chars().count() < PASSWORD_MIN {
        let detail = format!("a password has at least {PASSWORD_MIN} characters; a few words do well");
        return Err(ApiError::invalid("weak_password", "password", detail));
    }
    if password.len() > PASSWORD_MAX {
        return Err(ApiError::invalid("invalid", "password", "this password is too long"));
    }
    let password = Zeroizing::new(password.to_owned());
    aside(&PASSWORDS, move || {
        let hash = Argon2::default()
            .hash_password(password.as_bytes())
            .map_err(|e| ApiError::internal(format!("hashing a password: {e}")))?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether the password fits; where there is none to fit, it takes as long.
pub(super) async fn verify(hash: Option<String>, password: &str) -> Result<bool> {
    if password.len() > PASSWORD_MAX {
        return Ok(false);
    }
    let password = Zeroizing::new(password.to_owned());
    aside(&PASSWORDS, move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.to_owned());
        let Ok(parsed) = PasswordHash::new(&hash) else { return Ok(false) };
        Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && known)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_costs_as_much_as_somebody() {
        let somebody = hash("correct horse battery").await.unwrap();
        let (nobody, somebody) = (PasswordHash::new(NOBODY).unwrap(), PasswordHash::new(&somebody).unwrap());
        assert_eq!(nobody.algorithm, somebody.algorithm);
        assert_eq!(nobody.version, somebody.version);
        assert_eq!(nobody.params.to_string(), somebody.params.to_string());
        let length = |h: &PasswordHash| h.hash.as_ref().map(|o| o.as_ref().len());
        assert_eq!(length(&nobody), length(&somebody));
        assert_eq!(
            nobody.salt.as_ref().map(|s| s.as_ref().len()),
            somebody.salt.as_ref().map(|s| s.as_ref().len())
        );
    }

    #[tokio::test]
    async fn no_password_fits_where_there_is_none() {
        let hash = hash("correct horse battery").await.unwrap();
        assert!(verify(Some(hash.clone()), "correct horse battery").await.unwrap());
        assert!(!verify(Some(hash), "correct horse batteries").await.unwrap());
        assert!(!verify(None, "").await.unwrap() && !verify(None, "correct horse battery").await.unwrap());
    }
}
