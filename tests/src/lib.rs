//! The harness of the end-to-end tests: real servers, each owned by the test that started it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`until`] | waiting: a condition and a deadline |
//! | [`tools`] | where the programs are that tests start |
//! | [`forge`] | `forge` and `live` processes, and a client of the API |
//! | [`certificate`] | certificates of authorities of their own |
//! | [`browser`] | a real Chromium |
//! | [`model`] | a model endpoint that speaks both protocols, and misbehaves as it is told |
//! | [`nats`] | a real nats-server with a provisioned broker |
//! | [`stage`] | an agent of that broker, and what is put before it |
//! | [`proxy`] | a line to that server which can be made bad in every way |
//! | [`receiver`] | a server that webhooks are sent to |
//! | [`word`] | FORGE's side of the talk, all the time |
//! | [`postgres`] | a private PostgreSQL cluster |
//!
//! The tests themselves are in `tests/tests/`, one file per subject. `forge` and `live` are started
//! as the programs that users start; this crate does not link `forge-api`.

pub mod browser;
pub mod certificate;
pub mod forge;
pub mod model;
pub mod nats;
pub mod postgres;
pub mod proxy;
pub mod receiver;
pub mod stage;
pub mod tools;
pub mod until;
pub mod word;

/// Runs a test on SQLite and on PostgreSQL.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name($crate::forge::Database::Sqlite).await
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name($crate::forge::Database::Postgres).await
                }
            )+
        }
    };
}
