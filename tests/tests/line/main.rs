//! The whole line, author to rendered prompt, by real processes on both databases; and what bad luck does to it.

mod bundle;
mod kill;
mod outage;
mod refusal;
mod whole;

/// Runs a test on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(tests::forge::Database::Sqlite).await
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(tests::forge::Database::Postgres).await
                }
            )+
        }
    };
}
pub(crate) use on_both;
