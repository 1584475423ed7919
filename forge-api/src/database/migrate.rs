//! The layout of the database, brought up to date at every start.
//!
//! All migrations that are missing run in one transaction under one lock, so that several processes
//! may start at once, and one that dies leaves nothing half done.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Conn, Database, DatabaseError, Pools, Result, Tx, on};
use crate::clock;

/// Name, SQLite, PostgreSQL. Never edit one that was shipped: add the next.
const MIGRATIONS: &[(&str, &str, &str)] = &[
    (
        "0001_first",
        include_str!("../../migrations/sqlite/0001_first.sql"),
        include_str!("../../migrations/postgres/0001_first.sql"),
    ),
    (
        "0002_trust",
        include_str!("../../migrations/sqlite/0002_trust.sql"),
        include_str!("../../migrations/postgres/0002_trust.sql"),
    ),
    (
        "0003_users",
        include_str!("../../migrations/sqlite/0003_users.sql"),
        include_str!("../../migrations/postgres/0003_users.sql"),
    ),
    (
        "0004_credentials",
        include_str!("../../migrations/sqlite/0004_credentials.sql"),
        include_str!("../../migrations/postgres/0004_credentials.sql"),
    ),
    (
        "0005_orders",
        include_str!("../../migrations/sqlite/0005_orders.sql"),
        include_str!("../../migrations/postgres/0005_orders.sql"),
    ),
    (
        "0006_contracts",
        include_str!("../../migrations/sqlite/0006_contracts.sql"),
        include_str!("../../migrations/postgres/0006_contracts.sql"),
    ),
    (
        "0007_standing",
        include_str!("../../migrations/sqlite/0007_standing.sql"),
        include_str!("../../migrations/postgres/0007_standing.sql"),
    ),
    (
        "0008_people",
        include_str!("../../migrations/sqlite/0008_people.sql"),
        include_str!("../../migrations/postgres/0008_people.sql"),
    ),
    (
        "0009_content",
        include_str!("../../migrations/sqlite/0009_content.sql"),
        include_str!("../../migrations/postgres/0009_content.sql"),
    ),
    (
        "0010_versions",
        include_str!("../../migrations/sqlite/0010_versions.sql"),
        include_str!("../../migrations/postgres/0010_versions.sql"),
    ),
    (
        "0011_trying",
        include_str!("../../migrations/sqlite/0011_trying.sql"),
        include_str!("../../migrations/postgres/0011_trying.sql"),
    ),
    (
        "0012_api",
        include_str!("../../migrations/sqlite/0012_api.sql"),
        include_str!("../../migrations/postgres/0012_api.sql"),
    ),
    (
        "0013_exchange",
        include_str!("../../migrations/sqlite/0013_exchange.sql"),
        include_str!("../../migrations/postgres/0013_exchange.sql"),
    ),
    (
        "0014_finding",
        include_str!("../../migrations/sqlite/0014_finding.sql"),
        include_str!("../../migrations/postgres/0014_finding.sql"),
    ),
    (
        "0015_first_run",
        include_str!("../../migrations/sqlite/0015_first_run.sql"),
        include_str!("../../migrations/postgres/0015_first_run.sql"),
    ),
    (
        "0016_hooks",
        include_str!("../../migrations/sqlite/0016_hooks.sql"),
        include_str!("../../migrations/postgres/0016_hooks.sql"),
    ),
    (
        "0017_whole",
        include_str!("../../migrations/sqlite/0017_whole.sql"),
        include_str!("../../migrations/postgres/0017_whole.sql"),
    ),
    (
        "0018_history",
        include_str!("../../migrations/sqlite/0018_history.sql"),
        include_str!("../../migrations/postgres/0018_history.sql"),
    ),
    (
        "0020_speed",
        include_str!("../../migrations/sqlite/0020_speed.sql"),
        include_str!("../../migrations/postgres/0020_speed.sql"),
    ),
];

/// Any number, as long as it is ours: the advisory lock of PostgreSQL.
const LOCK: i64 = 0x616e_7669_6c01;

diesel::table! {
    schema_migrations (name) {
        name -> Text,
        applied_at -> BigInt,
    }
}

impl Database {
    pub(super) async fn migrate(&self) -> Result<()> {
        let mut tx = match &self.pools {
            // The exclusive lock comes with the transaction.
            Pools::Sqlite { writer, .. } => {
                let conn = writer.get().await.map_err(super::unavailable)?;
                let mut conn = Conn::Sqlite(conn);
                conn.batch("BEGIN EXCLUSIVE").await?;
                Tx { conn: Some(conn), chain: None }
            }
            Pools::Postgres(_) => {
                let mut tx = self.write().await?;
                tx.batch(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
                tx
            }
        };
        tx.batch(
            "CREATE TABLE IF NOT EXISTS schema_migrations \
             (name TEXT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)",
        )
        .await?;
        let applied: Vec<String> = on!(&mut *tx, c => {
            schema_migrations::table.select(schema_migrations::name).load(c).await?
        });
        if let Some(unknown) = applied.iter().find(|a| !MIGRATIONS.iter().any(|(name, ..)| name == a)) {
            return Err(DatabaseError::Newer(unknown.clone()));
        }
        for &(name, sqlite, postgres) in MIGRATIONS.iter().filter(|(n, ..)| !applied.iter().any(|a| a == n)) {
            let sql = if matches!(&*tx, Conn::Sqlite(_)) { sqlite } else { postgres };
            tx.batch(sql).await.map_err(|source| DatabaseError::Migration { name, source })?;
            on!(&mut *tx, c => {
                diesel::insert_into(schema_migrations::table)
                    .values((schema_migrations::name.eq(name), schema_migrations::applied_at.eq(clock::now())))
                    .execute(c)
                    .await?
            });
            tracing::info!(migration.name = name, "database layout brought up to date");
        }
        tx.commit().await
    }
}
