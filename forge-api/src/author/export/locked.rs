//! The versions of a set as a lock file tells them.

use std::collections::BTreeMap;

use exchange::archive::{Locked, LockedDependency, Origin, Set, Version, place};
use schemas::bundle::Bundle;
use schemas::canonical::Digest;

use super::{SetAt, Whole};
use crate::aside::{EXCHANGES, aside};
use crate::clock::rfc3339;
use crate::database::origin::{self, VersionOrigin};
use crate::database::version::{self, Version as Row};
use crate::database::{Conn, DatabaseError, dependency, prompt_set};
use crate::error::{ApiError, Result};

/// The digests of the content of versions, by set and version.
pub(super) type Taken = BTreeMap<(String, String), Digest>;

/// A version as it is stored.
pub(super) struct Stored {
    pub row: Row,
    pub body: Vec<u8>,
    pub origin: Option<VersionOrigin>,
}

impl Stored {
    pub(super) fn number(&self) -> Result<semver::Version> {
        Ok(self.row.version.parse::<semver::Version>().map_err(|e| self.damaged(&e))?)
    }

    fn damaged(&self, why: &dyn std::fmt::Display) -> DatabaseError {
        DatabaseError::Damaged(format!("version {}: {why}", self.row.version))
    }
}

/// The versions of a set, the newest first, where there is room for them. What they took in from other sets is
/// added to `taken`.
pub(super) async fn stored(
    conn: &mut Conn,
    set: &SetAt,
    room: &mut u64,
    taken: &mut Taken,
) -> Result<Vec<Stored>> {
    let rows = version::of_set(conn, &set.set.id).await?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let mut origins = origin::of_versions(conn, &ids).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        *room = room.checked_sub(row.size.unsigned_abs()).ok_or_else(|| {
            ApiError::TooLarge("the versions are too large for one archive; export each on its own".into())
        })?;
        let body = version::body(conn, &row.id).await?.ok_or(ApiError::NotFound("version"))?;
        let origin = origins.iter().position(|o| o.version_id == row.id).map(|i| origins.swap_remove(i));
        for one in dependency::of_version(conn, &row.id).await? {
            take(conn, &one.set_id, &one.resolved_version_id, taken).await?;
        }
        found.push(Stored { row, body, origin });
    }
    Ok(found)
}

async fn take(conn: &mut Conn, set_id: &str, version_id: &str, taken: &mut Taken) -> Result<()> {
    let set = prompt_set::by_id(conn, set_id).await?.ok_or(ApiError::NotFound("prompt set"))?;
    let row = version::by_id(conn, version_id).await?.ok_or(ApiError::NotFound("version"))?;
    let key = (set.slug, row.version);
    if taken.contains_key(&key) {
        return Ok(());
    }
    let body = version::body(conn, version_id).await?.ok_or(ApiError::NotFound("version"))?;
    let digest = aside(&EXCHANGES, move || Ok(place::content(&body)?)).await?;
    taken.insert(key, digest);
    Ok(())
}

/// Whole sets, their versions as the lock file tells them.
pub(super) fn told(sets: Vec<Whole>, taken: Taken) -> Result<Vec<Set>> {
    sets.into_iter()
        .map(|(set, versions)| {
            let versions = versions.into_iter().map(|one| line(one, &taken)).collect::<Result<_>>()?;
            Ok(Set { versions, ..set })
        })
        .collect()
}

fn line(stored: Stored, taken: &Taken) -> Result<Version> {
    let bundle = Bundle::from_body(&stored.body)?;
    let dependencies = bundle.dependencies.into_iter().map(|one| LockedDependency {
        content: taken.get(&(one.set.to_string(), one.version.to_string())).copied(),
        set: one.set,
        requirement: one.requirement,
        version: one.version,
        digest: one.digest,
    });
    let approver = stored.origin.as_ref().and_then(|origin| origin.approver.clone());
    let imported = stored.origin.as_ref().map(|origin| {
        Ok::<_, DatabaseError>(Origin {
            organisation: origin.organisation.clone(),
            project: origin.project.clone(),
            set: origin.prompt_set.clone(),
            digest: origin.digest.parse::<Digest>().map_err(|e| stored.damaged(&e))?,
            imported_by: origin.imported_by.clone(),
            imported_at: rfc3339(origin.imported_at),
        })
    });
    let locked = Locked {
        version: stored.number()?,
        digest: stored.row.digest.parse::<Digest>().map_err(|e| stored.damaged(&e))?,
        content: Some(place::content(&stored.body)?),
        kind: stored.row.kind.clone(),
        notes: stored.row.notes.clone(),
        author: stored.row.author.clone(),
        approver: stored.row.approver.clone().or(approver),
        created_at: rfc3339(stored.row.created_at),
        dependencies: dependencies.collect(),
        imported: imported.transpose()?,
    };
    Ok(Version { locked, body: stored.body })
}
