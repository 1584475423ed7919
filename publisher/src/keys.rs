//! The keys of an installation and of each project.
//!
//! Seeds leave this module only through `seeds()`, for a caller that stores them sealed, and in a
//! credential's own file. `Debug` never shows one.

use std::fmt;
use std::str::FromStr;

use nkeys::{KeyPair, KeyPairType};
use zeroize::Zeroizing;

/// Why a set of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("key {0} is missing; restore it from a backup of FORGE's database")]
    Missing(String),
    #[error("key {0} stands twice")]
    Twice(String),
    #[error("{0:?} is no name of a key")]
    Name(String),
    #[error("the seed of key {0} cannot be read")]
    Seed(String, #[source] nkeys::error::Error),
    #[error("the seed of key {name} is of kind {found}, not {expected}")]
    Kind { name: String, expected: &'static str, found: &'static str },
    #[error("the key cannot sign")]
    Sign(#[source] nkeys::error::Error),
}

/// What an nkey is for, which its first letter tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Operator,
    Account,
    User,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Account => "account",
            Self::User => "user",
        }
    }

    fn of(pair: &KeyPair) -> Option<Self> {
        match pair.key_pair_type() {
            KeyPairType::Operator => Some(Self::Operator),
            KeyPairType::Account => Some(Self::Account),
            KeyPairType::User => Some(Self::User),
            _ => None,
        }
    }
}

/// A private nkey. The seed is wiped from memory when it goes.
#[derive(Clone)]
pub struct Key {
    public: String,
    seed: Zeroizing<String>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("public", &self.public).field("seed", &"<secret>").finish()
    }
}

impl Key {
    /// Makes a new key.
    #[must_use]
    pub fn generate(kind: Kind) -> Self {
        let pair = KeyPair::new(match kind {
            Kind::Operator => KeyPairType::Operator,
            Kind::Account => KeyPairType::Account,
            Kind::User => KeyPairType::User,
        });
        // A pair that was just made has a seed.
        Self { public: pair.public_key(), seed: Zeroizing::new(pair.seed().unwrap_or_default()) }
    }

    /// Reads a seed; `name` is for the error.
    ///
    /// # Errors
    /// [`KeyError::Seed`] or [`KeyError::Kind`].
    pub fn from_seed(seed: &str, kind: Kind, name: &str) -> Result<Self, KeyError> {
        let pair = KeyPair::from_seed(seed).map_err(|e| KeyError::Seed(name.to_owned(), e))?;
        let found = Kind::of(&pair);
        if found != Some(kind) {
            let found = found.map_or("another", Kind::as_str);
            return Err(KeyError::Kind { name: name.to_owned(), expected: kind.as_str(), found });
        }
        Ok(Self { public: pair.public_key(), seed: Zeroizing::new(seed.to_owned()) })
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The seed. **Secret.**
    #[must_use]
    pub fn seed(&self) -> &Zeroizing<String> {
        &self.seed
    }

    /// The pair, for signing.
    ///
    /// # Errors
    /// [`KeyError::Sign`] where the seed is damaged.
    pub fn pair(&self) -> Result<KeyPair, KeyError> {
        KeyPair::from_seed(&self.seed).map_err(KeyError::Sign)
    }

    /// The raw signature of `bytes`.
    ///
    /// # Errors
    /// [`KeyError::Sign`].
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair()?.sign(bytes).map_err(KeyError::Sign)
    }
}

/// A named set of keys: its struct, the names of its keys, and the way to and from seeds.
macro_rules! key_set {
    ($(#[$doc:meta])* $set:ident, $(#[$name_doc:meta])* $name:ident {
        $($(#[$key_doc:meta])* $variant:ident $field:ident $text:literal $kind:ident),+ $(,)?
    }) => {
        $(#[$name_doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$key_doc])* $variant),+ }

        impl $name {
            /// Every name of the set.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name as it is stored.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = KeyError;
            fn from_str(text: &str) -> Result<Self, KeyError> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(KeyError::Name(text.to_owned())) }
            }
        }

        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $set { $($(#[$key_doc])* pub $field: Key),+ }

        impl $set {
            /// Makes every key anew.
            #[must_use]
            pub fn generate() -> Self {
                Self { $($field: Key::generate(Kind::$kind)),+ }
            }

            /// Every seed with its name, to be stored sealed. **Secret.**
            #[must_use]
            pub fn seeds(&self) -> Vec<($name, Zeroizing<String>)> {
                vec![$(($name::$variant, self.$field.seed.clone())),+]
            }

            /// Puts the set together again.
            ///
            /// # Errors
            /// [`KeyError`] for a key that is missing, stands twice or is of another kind.
            pub fn from_seeds<S: AsRef<str>>(
                seeds: impl IntoIterator<Item = ($name, S)>,
            ) -> Result<Self, KeyError> {
                $(let mut $field: Option<Key> = None;)+
                for (name, seed) in seeds {
                    let (slot, kind) = match name {
                        $($name::$variant => (&mut $field, Kind::$kind)),+
                    };
                    let key = Key::from_seed(seed.as_ref(), kind, name.as_str())?;
                    if slot.replace(key).is_some() {
                        return Err(KeyError::Twice(name.to_string()));
                    }
                }
                Ok(Self { $($field: $field.ok_or_else(|| KeyError::Missing($text.to_owned()))?),+ })
            }
        }
    };
}

key_set! {
    /// The keys of an installation.
    KeyRing,
    /// Names of the keys of an installation.
    KeyName {
        /// The operator's identity. Only needed to certify signing keys and the system account.
        Operator operator "operator" Operator,
        /// Signs accounts.
        OperatorSigning operator_signing "operator-signing" Operator,
        /// The system account `SYS`.
        SystemAccount system_account "system-account" Account,
        /// FORGE's own user in `SYS`.
        SystemUser system_user "system-user" User,
        /// The account `FORGE`, which owns every stream.
        ForgeAccount forge_account "forge-account" Account,
        /// FORGE's own user in `FORGE`.
        ForgeUser forge_user "forge-user" User,
        /// The root of trust of agents: certifies the publishing keys of projects.
        Root root "root" Operator,
    }
}

key_set! {
    /// The keys of a project.
    ProjectKeys,
    /// Names of the keys of a project.
    ProjectKeyName {
        /// The account of the project's agents.
        Account account "account" Account,
        /// Scoped: signs the credentials of agents.
        Credentials credentials "credentials" Account,
        /// Scoped: signs the credentials of people who look.
        Inspection inspection "inspection" Account,
        /// Signs attestations and heartbeats.
        Publishing publishing "publishing" Account,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_ring_comes_back_from_its_seeds() {
        let ring = KeyRing::generate();
        let again = KeyRing::from_seeds(ring.seeds()).unwrap();
        assert_eq!(again.operator.public(), ring.operator.public());
        assert_eq!(again.root.public(), ring.root.public());
        for name in KeyName::ALL {
            assert_eq!(name.to_string().parse::<KeyName>().unwrap(), *name);
        }
    }

    #[test]
    fn a_missing_doubled_or_foreign_key_is_named() {
        let ring = ProjectKeys::generate();
        let mut seeds = ring.seeds();
        let last = seeds.pop().unwrap();
        let error = ProjectKeys::from_seeds(seeds.clone()).unwrap_err();
        assert!(error.to_string().contains("publishing"), "{error}");
        seeds.push((ProjectKeyName::Account, last.1));
        assert!(matches!(ProjectKeys::from_seeds(seeds), Err(KeyError::Twice(_))));
        let user = Key::generate(Kind::User);
        let wrong = vec![(ProjectKeyName::Account, user.seed().clone())];
        assert!(matches!(ProjectKeys::from_seeds(wrong), Err(KeyError::Kind { .. })));
    }

    #[test]
    fn debug_shows_no_seed() {
        let ring = KeyRing::generate();
        let text = format!("{ring:?}");
        for (_, seed) in ring.seeds() {
            assert!(!text.contains(seed.as_str()));
        }
        assert!(text.contains(ring.root.public()));
    }
}
