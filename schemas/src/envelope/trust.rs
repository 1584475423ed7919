//! What an agent trusts, and how that changes.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::statement::{Attestation, Enrolment, Heartbeat, KeyCertificate, TrustList, publication_name};
use super::{ENVELOPE_MAX, Envelope, Predicate, TrustError};
use crate::Micros;
use crate::canonical::Digest;
use crate::names::Scope;

/// Most links of a chain of trust lists that are read.
const LINKS_MAX: usize = 64;

/// What an agent trusts: root keys, and the scope it was made for.
///
/// It begins with the roots of the connect file and moves on by trust lists ([`Trust::advance`]); it
/// never moves back.
#[derive(Debug)]
pub struct Trust {
    scope: Scope,
    known: Mutex<Known>,
}

#[derive(Debug, Clone)]
struct Known {
    /// Public nkeys of the roots that may certify keys now.
    roots: Vec<String>,
    /// Every root that ever might: for what was verified in its time.
    ever: Vec<String>,
    revoked: BTreeSet<String>,
    version: u64,
    /// The lists that led here, as far as they are needed to come here again.
    links: Vec<Link>,
    /// The chain that was looked at last, as it came: nearly every message bears the same one.
    heard: Option<String>,
    /// The certificate that was opened last, as its line, root and content: nearly every message
    /// bears the same one, and a signature costs more than the rest of the check.
    opened: Option<(String, String, KeyCertificate)>,
}

/// A trust list that was followed.
#[derive(Debug, Clone)]
struct Link {
    envelope: Envelope,
    /// It changed the roots: whoever comes after it may be signed by what it named.
    moves: bool,
    revoked: Vec<String>,
}

/// A publication whose whole chain was verified against its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub attestation: Attestation,
    pub digest: Digest,
    /// The publishing key that signed.
    pub key: String,
    /// The root that certified that key.
    pub root: String,
}

/// A key that a root has certified for the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    pub certificate: KeyCertificate,
    pub root: String,
}

/// Which keys count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Those that are trusted now.
    Now,
    /// Those that were trusted at any time.
    Then,
}

impl Trust {
    #[must_use]
    pub fn new(roots: Vec<String>, scope: Scope) -> Self {
        let known = Known {
            ever: roots.clone(),
            roots,
            revoked: BTreeSet::new(),
            version: 0,
            links: Vec::new(),
            heard: None,
            opened: None,
        };
        Self { scope, known: Mutex::new(known) }
    }

    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The roots that may certify keys now.
    #[must_use]
    pub fn roots(&self) -> Vec<String> {
        self.known().roots.clone()
    }

    /// Version of the trust list that holds; 0 where the connect file alone does.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.known().version
    }

    /// The chain of trust lists that led here, to be kept: what was believed, and nothing that came
    /// beside it. From the roots that this began with it leads here again.
    #[must_use]
    pub fn chain(&self) -> Option<String> {
        let known = self.known();
        let links: Vec<&Envelope> = known.links.iter().map(|link| &link.envelope).collect();
        if links.is_empty() { None } else { serde_json::to_string(&links).ok() }
    }

    /// Whether a key, of a root or a publisher, was revoked.
    #[must_use]
    pub fn is_revoked(&self, key: &str) -> bool {
        self.known().revoked.contains(key)
    }

    /// Follows a chain of trust lists (header `Forge-Trust`: a JSON array of envelopes, oldest
    /// first). Gives whether anything changed. Lists that are not newer are passed over.
    ///
    /// # Errors
    /// No link of it can be believed, or one speaks of another project. Nothing is changed then.
    pub fn advance(&self, chain: &str) -> Result<bool, TrustError> {
        let mut known = self.known();
        if known.heard.as_deref() == Some(chain) {
            return Ok(false);
        }
        let malformed = |why: String| TrustError::Malformed { what: TrustList::WHAT, why };
        if chain.len() > ENVELOPE_MAX {
            return Err(malformed(format!("{} bytes, at most {ENVELOPE_MAX} are read", chain.len())));
        }
        let links: Vec<Envelope> = serde_json::from_str(chain).map_err(|e| malformed(e.to_string()))?;
        if links.is_empty() || links.len() > LINKS_MAX {
            return Err(malformed(format!("{} links, from 1 to {LINKS_MAX} are read", links.len())));
        }
        let mut next = known.clone();
        let mut followed = None;
        for link in &links {
            let roots: Vec<&str> = next.roots.iter().map(String::as_str).collect();
            let list = match link.statement::<TrustList>(&roots) {
                Ok((statement, _)) => statement.predicate,
                // A link from before what is known here may be signed by a root that has gone.
                Err(error @ TrustError::UnknownKey { .. }) => {
                    followed = followed.or(Some(Err(error)));
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.check_list(&list)?;
            if list.version > next.version {
                next.follow(link, list);
                if next.roots.is_empty() {
                    return Err(malformed("it leaves no root that is not revoked".into()));
                }
            }
            followed = Some(Ok(()));
        }
        followed.unwrap_or(Ok(()))?;
        known.heard = Some(chain.to_owned());
        if next.version == known.version {
            return Ok(false);
        }
        next.heard.clone_from(&known.heard);
        next.opened = None;
        *known = next;
        Ok(true)
    }

    fn check_list(&self, list: &TrustList) -> Result<(), TrustError> {
        if list.organisation != self.scope.organisation || list.project != self.scope.project {
            return Err(TrustError::WrongSubject {
                what: TrustList::WHAT,
                expected: format!("{}/{}", self.scope.organisation, self.scope.project),
                found: format!("{}/{}", list.organisation, list.project),
            });
        }
        if list.roots.is_empty() {
            return Err(TrustError::Malformed { what: TrustList::WHAT, why: "it names no root".into() });
        }
        Ok(())
    }

    /// What a root signed in `certificate`; asked for the same line again, the answer is remembered.
    fn certified(&self, certificate: &str, when: When) -> Result<Certified, TrustError> {
        let mut known = self.known();
        if let Some((line, root, found)) = known.opened.as_ref()
            && line == certificate
        {
            return Ok(Certified { certificate: found.clone(), root: root.clone() });
        }
        let roots = match when {
            When::Now => &known.roots,
            When::Then => &known.ever,
        };
        let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
        let opened = Envelope::from_line::<KeyCertificate>(certificate)?.statement::<KeyCertificate>(&roots);
        let (statement, root) = opened.map_err(|error| match error {
            TrustError::UnknownKey { what, key } if known.revoked.contains(&key) => {
                TrustError::Revoked { what, key }
            }
            other => other,
        })?;
        let found = statement.predicate;
        if when == When::Now {
            known.opened = Some((certificate.to_owned(), root.clone(), found.clone()));
        }
        Ok(Certified { certificate: found, root })
    }

    /// Opens a key certificate: signed by a root, for this project, neither revoked nor expired at
    /// `now`.
    ///
    /// # Errors
    /// Every link that does not hold.
    pub fn publishing_key(&self, certificate: &str, now: Micros) -> Result<Certified, TrustError> {
        self.key(certificate, now, When::Now)
    }

    fn key(&self, certificate: &str, now: Micros, when: When) -> Result<Certified, TrustError> {
        let certified = self.certified(certificate, when)?;
        let found = &certified.certificate;
        if found.organisation != self.scope.organisation || found.project != self.scope.project {
            return Err(TrustError::WrongSubject {
                what: KeyCertificate::WHAT,
                expected: format!("{}/{}", self.scope.organisation, self.scope.project),
                found: format!("{}/{}", found.organisation, found.project),
            });
        }
        if when == When::Now && self.is_revoked(&found.key) {
            return Err(TrustError::Revoked { what: "publishing key", key: found.key.clone() });
        }
        if found.expires.is_some_and(|at| at <= now) {
            return Err(TrustError::Expired { what: KeyCertificate::WHAT });
        }
        Ok(certified)
    }

    /// Verifies a publication: the chain from the root, the scope, size and digest of `body`.
    ///
    /// `body` is the canonical body, after decompression. Whether the serial is new enough is the
    /// caller's to decide: only the agent knows what it had.
    ///
    /// # Errors
    /// Every link that does not hold.
    pub fn verify(
        &self,
        certificate: &str,
        attestation: &str,
        body: &[u8],
        now: Micros,
    ) -> Result<Verified, TrustError> {
        self.publication(certificate, attestation, body, now, When::Now)
    }

    /// As [`Trust::verify`] for what this agent itself verified and kept at `then`: keys that were
    /// good then still count.
    ///
    /// # Errors
    /// As there.
    pub fn verify_kept(
        &self,
        certificate: &str,
        attestation: &str,
        body: &[u8],
        then: Micros,
    ) -> Result<Verified, TrustError> {
        self.publication(certificate, attestation, body, then, When::Then)
    }

    /// Verifies what was signed of a publication, without its body; gives it, and the key that signed.
    ///
    /// # Errors
    /// Every link that does not hold.
    pub fn verify_attestation(
        &self,
        certificate: &str,
        attestation: &str,
        now: Micros,
    ) -> Result<(Attestation, String), TrustError> {
        let key = self.publishing_key(certificate, now)?.certificate.key;
        let found = Envelope::open::<Attestation>(attestation, &[&key])?.predicate;
        self.same_scope(Attestation::WHAT, &found.scope)?;
        Ok((found, key))
    }

    fn publication(
        &self,
        certificate: &str,
        attestation: &str,
        body: &[u8],
        now: Micros,
        when: When,
    ) -> Result<Verified, TrustError> {
        let Certified { certificate, root } = self.key(certificate, now, when)?;
        let key = certificate.key;
        let statement = Envelope::open::<Attestation>(attestation, &[&key])?;
        let found = statement.predicate;
        self.same_scope(Attestation::WHAT, &found.scope)?;
        let size = body.len() as u64;
        if found.size != size {
            return Err(TrustError::SizeMismatch { expected: found.size, found: size });
        }
        let subject = statement.subject.first().ok_or(TrustError::Missing("subject of the attestation"))?;
        let digest = subject.is_of(Attestation::WHAT, body)?;
        if subject.name != publication_name(&found) {
            return Err(TrustError::WrongSubject {
                what: Attestation::WHAT,
                expected: publication_name(&found),
                found: subject.name.chars().take(200).collect(),
            });
        }
        if found.expires.is_some_and(|at| at <= now) {
            return Err(TrustError::Expired { what: Attestation::WHAT });
        }
        Ok(Verified { attestation: found, digest, key, root })
    }

    fn same_scope(&self, what: &'static str, found: &Scope) -> Result<(), TrustError> {
        if *found == self.scope {
            return Ok(());
        }
        let (expected, found) = (self.scope.to_string(), found.to_string());
        Err(TrustError::WrongSubject { what, expected, found })
    }

    /// Verifies a heartbeat for this scope, and gives the key that signed it. `certificate` is its
    /// header `Forge-Key`. Whether it is fresh is the caller's to decide.
    ///
    /// # Errors
    /// Every link that does not hold.
    pub fn verify_heartbeat(
        &self,
        certificate: &str,
        heartbeat: &str,
        now: Micros,
    ) -> Result<(Heartbeat, Certified), TrustError> {
        let certified = self.publishing_key(certificate, now)?;
        let found = Envelope::open::<Heartbeat>(heartbeat, &[&certified.certificate.key])?.predicate;
        self.same_scope(Heartbeat::WHAT, &found.scope)?;
        Ok((found, certified))
    }

    /// Verifies that FORGE gave this very `answer` to the request with digest `request`.
    ///
    /// # Errors
    /// Every link that does not hold.
    pub fn verify_enrolment(
        &self,
        certificate: &str,
        enrolment: &str,
        answer: &[u8],
        request: Digest,
        now: Micros,
    ) -> Result<(Enrolment, Certified), TrustError> {
        let certified = self.publishing_key(certificate, now)?;
        let statement = Envelope::open::<Enrolment>(enrolment, &[&certified.certificate.key])?;
        let subject = statement.subject.first().ok_or(TrustError::Missing("subject of the answer"))?;
        subject.is_of(Enrolment::WHAT, answer)?;
        let found = statement.predicate;
        self.same_scope(Enrolment::WHAT, &found.heartbeat.scope)?;
        if found.request != request {
            return Err(TrustError::WrongSubject {
                what: Enrolment::WHAT,
                expected: format!("request {request}"),
                found: format!("request {}", found.request),
            });
        }
        Ok((found, certified))
    }
}

impl Known {
    fn follow(&mut self, link: &Envelope, list: TrustList) {
        let before = std::mem::replace(&mut self.roots, list.roots);
        self.version = list.version;
        self.revoked.extend(list.revoked.iter().cloned());
        self.roots.retain(|root| !self.revoked.contains(root));
        for root in &self.roots {
            if !self.ever.contains(root) {
                self.ever.push(root.clone());
            }
        }
        // What the new one says too need not be kept twice.
        self.links.retain(|link| link.moves || !link.revoked.iter().all(|key| list.revoked.contains(key)));
        let moves = self.roots != before;
        self.links.push(Link { envelope: link.clone(), moves, revoked: list.revoked });
    }
}
