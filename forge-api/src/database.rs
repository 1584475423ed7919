//! One database, two kinds: SQLite in a file beside the process, or PostgreSQL.
//!
//! Queries are written once and compiled for both: the macro `on!` takes the arm that fits the connection.
//! Rows stand in the modules below, one a word of the domain; they never derive serde.
//!
//! On SQLite there is one writer and a pool of read-only connections; a write transaction begins
//! with `BEGIN IMMEDIATE`. On PostgreSQL a write transaction is an ordinary one, and whoever needs
//! an order among writers first updates the row that stands for it.

pub mod agent;
pub mod alias;
pub mod archive;
pub mod audit;
pub mod contract;
pub mod credential;
pub mod dependency;
pub mod grant;
pub mod idempotency;
pub mod identity;
pub mod import;
pub mod invitation;
pub mod key;
pub mod mail;
mod migrate;
pub mod note;
pub mod order;
pub mod organisation;
pub mod origin;
pub mod outbox;
pub mod overview;
pub mod project;
pub mod prompt;
pub mod prompt_set;
pub mod publication;
pub mod redirect;
pub mod review;
pub mod revision;
pub mod rule;
pub mod schema;
pub mod search;
pub mod session;
pub mod set_up;
pub mod signing;
pub mod told;
pub mod usage;
pub mod user;
pub mod variable_set;
pub mod version;
pub mod visit;
pub mod webhook;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::{Object, PoolBuilder};
use diesel::{ConnectionError, SqliteConnection};
use diesel_async::pooled_connection::deadpool::{Hook, HookError, Pool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolError, RecyclingMethod,
};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use futures::FutureExt as _;

use crate::seal::MacKey;

/// Readers of a SQLite file, besides its one writer.
const SQLITE_READERS: usize = 4;
/// Connections to PostgreSQL that one process holds at most.
const POSTGRES_CONNECTIONS: usize = 16;
/// A connection to PostgreSQL that nobody took for longer is asked whether it lives before somebody gets it: one that
/// the server ended is known by itself, one whose server vanished is not.
const RESTED: Duration = Duration::from_secs(5);
/// How long a request waits for a connection.
const POOL_WAIT: Duration = Duration::from_secs(20);
/// Who finds a new SQLite file in the hands of another process tries again for so long.
const SQLITE_WAIT: Duration = Duration::from_secs(15);
/// And so often.
const SQLITE_AGAIN: Duration = Duration::from_millis(20);
const SQLITE_WRITER: &str = "PRAGMA busy_timeout = 15000; PRAGMA journal_mode = WAL; \
     PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
// The first pages look at each of a thousand projects: in less than 16 MiB, pages of the file would come and go meanwhile.
const SQLITE_READER: &str = "PRAGMA busy_timeout = 15000; PRAGMA foreign_keys = ON; PRAGMA query_only = ON; \
     PRAGMA cache_size = -16384;";

type Sqlite = SyncConnectionWrapper<SqliteConnection>;
type Pooled<C> = Object<AsyncDieselConnectionManager<C>>;

/// Runs one piece of query code on whichever connection there is; `?` in it leaves the function around it.
///
/// The future is boxed: a query's own type is long, and the compiler would prove again for every handler
/// that reaches it that it may go from thread to thread.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {{
        let query: $crate::database::QueryFuture<'_, _> = match $conn {
            $crate::database::Conn::Postgres(object) => {
                let $c = &mut **object;
                Box::pin(async move { Ok($body) })
            }
            $crate::database::Conn::Sqlite(object) => {
                let $c = &mut **object;
                Box::pin(async move { Ok($body) })
            }
        };
        query.await?
    }};
}
pub(crate) use on;

/// Rows of one statement on PostgreSQL, which takes at most 65,535 values in one.
const ROWS: usize = 1000;

/// Runs an insert for many rows: some hundred rows a statement on PostgreSQL, all rows in one visit
/// to the connection's thread on SQLite. No row may stand twice among them.
macro_rules! on_rows {
    ($conn:expr, $all:expr, $rows:ident => $statement:expr) => {
        match $conn {
            $crate::database::Conn::Postgres(object) => {
                for $rows in $all.chunks($crate::database::ROWS) {
                    diesel_async::RunQueryDsl::execute($statement, &mut **object).await?;
                }
            }
            $crate::database::Conn::Sqlite(object) => {
                let all = $all.to_vec();
                object
                    .spawn_blocking(move |c| {
                        for $rows in &all {
                            diesel::RunQueryDsl::execute($statement, c)?;
                        }
                        diesel::QueryResult::Ok(())
                    })
                    .await?;
            }
        }
    };
}
pub(crate) use on_rows;

/// Why the database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("the database address {0:?} is unknown: write sqlite://<file> or postgres://user@host/name")]
    Address(String),
    #[error("no connection to the database could be had: is it running and reachable?")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the database refused a query")]
    Query(#[from] diesel::result::Error),
    #[error("a value in the database cannot be read: {0}")]
    Damaged(String),
    #[error("the database was written by a newer program (migration {0} is unknown here): update forge")]
    Newer(String),
    #[error("migration {name} could not be applied")]
    Migration {
        name: &'static str,
        #[source]
        source: diesel::result::Error,
    },
}

impl DatabaseError {
    /// Whether a row with the same unique name was there already.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        matches!(self, Self::Query(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)))
    }

    /// Whether the connection ended while it was used: nothing is wrong with the query.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        let Self::Query(Error::DatabaseError(kind, info)) = self else { return false };
        let words: &[&str] = match kind {
            DatabaseErrorKind::ClosedConnection => return true,
            // What the client says of its connection, and what the server says before it ends one.
            DatabaseErrorKind::UnableToSendCommand => {
                &["connection closed", "error communicating with the server"]
            }
            _ => &["terminating connection"],
        };
        words.iter().any(|word| info.message().starts_with(word))
    }

    /// Whether a text held a NUL, which PostgreSQL does not take.
    #[must_use]
    pub fn is_nul(&self) -> bool {
        use diesel::result::Error;
        matches!(self, Self::Query(Error::DatabaseError(_, info)) if info.message().ends_with("\"UTF8\": 0x00"))
    }
}

/// A result of the database.
pub type Result<T, E = DatabaseError> = std::result::Result<T, E>;

/// What `on!` waits for.
type QueryFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A connection of either kind.
#[allow(clippy::large_enum_variant, reason = "a connection lives for one request; a box would only cost")]
pub enum Conn {
    Postgres(Pooled<AsyncPgConnection>),
    Sqlite(Pooled<Sqlite>),
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres(_) => "Conn::Postgres",
            Self::Sqlite(_) => "Conn::Sqlite",
        })
    }
}

impl Conn {
    /// Runs several statements as they are.
    async fn batch(&mut self, sql: &str) -> Result<(), diesel::result::Error> {
        match self {
            Self::Postgres(object) => object.batch_execute(sql).await,
            Self::Sqlite(object) => object.batch_execute(sql).await,
        }
    }
}

/// A write transaction. Dropped without [`Tx::commit`], everything in it is undone.
#[derive(Debug)]
pub struct Tx {
    conn: Option<Conn>,
    chain: Option<Arc<MacKey>>,
}

impl Tx {
    /// Makes everything in the transaction last.
    ///
    /// # Errors
    /// The database did not take it; then nothing of it lasts.
    pub async fn commit(mut self) -> Result<()> {
        if let Some(conn) = self.conn.as_mut() {
            search::refresh(conn).await?;
            conn.batch("COMMIT").await?;
        }
        self.conn = None;
        Ok(())
    }

    /// The key under which what is recorded in this transaction is sealed.
    pub(crate) fn chain_key(&self) -> Option<&MacKey> {
        self.chain.as_deref()
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            discard(conn);
            return;
        };
        runtime.spawn(async move {
            if conn.batch("ROLLBACK").await.is_err() {
                discard(conn);
            }
        });
    }
}

/// Closes a connection instead of giving it back to its pool.
fn discard(conn: Conn) {
    match conn {
        Conn::Postgres(object) => drop(Object::take(object)),
        Conn::Sqlite(object) => drop(Object::take(object)),
    }
}

impl Deref for Tx {
    type Target = Conn;
    #[allow(clippy::expect_used, reason = "only commit and drop take the connection, and both consume")]
    fn deref(&self) -> &Conn {
        self.conn.as_ref().expect("a transaction holds its connection until it ends")
    }
}
impl DerefMut for Tx {
    #[allow(clippy::expect_used, reason = "only commit and drop take the connection, and both consume")]
    fn deref_mut(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a transaction holds its connection until it ends")
    }
}

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Address {
    /// Reads `sqlite://<file>` or `postgres://…`.
    ///
    /// # Errors
    /// [`DatabaseError::Address`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("sqlite://").filter(|p| !p.is_empty()) {
            return Ok(Self::Sqlite(path.into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        // What stands there may hold a password.
        let shown = text.split_once("://").map_or("…", |(scheme, _)| scheme);
        Err(DatabaseError::Address(shown.to_owned()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://…"),
        }
    }
}

#[derive(Clone)]
enum Pools {
    Sqlite { writer: Pool<Sqlite>, readers: Pool<Sqlite> },
    Postgres(Pool<AsyncPgConnection>),
}

/// The database of one FORGE.
#[derive(Clone)]
pub struct Database {
    pools: Pools,
    chain: Option<Arc<MacKey>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.pools {
            Pools::Sqlite { .. } => "Database(SQLite)",
            Pools::Postgres(_) => "Database(PostgreSQL)",
        })
    }
}

impl Database {
    /// Connects and brings the layout up to date. Safe when several processes start at once.
    ///
    /// # Errors
    /// Not reachable, or written by a newer program.
    pub async fn open(address: &Address) -> Result<Self> {
        let pools = match address {
            Address::Sqlite(path) => {
                let url = path.to_string_lossy();
                Pools::Sqlite {
                    writer: sqlite_pool(&url, SQLITE_WRITER, 1)?,
                    readers: sqlite_pool(&url, SQLITE_READER, SQLITE_READERS)?,
                }
            }
            Address::Postgres(url) => Pools::Postgres(postgres_pool(url)?),
        };
        let database = Self { pools, chain: None };
        database.migrate().await?;
        Ok(database)
    }

    /// The same database, whose audit log is sealed under this key from now on.
    #[must_use]
    pub fn sealing(self, key: Arc<MacKey>) -> Self {
        Self { chain: Some(key), ..self }
    }

    /// A connection for reading. On SQLite it cannot write.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`].
    pub async fn read(&self) -> Result<Conn> {
        match &self.pools {
            Pools::Sqlite { readers, .. } => readers.get().await.map(Conn::Sqlite),
            Pools::Postgres(pool) => pool.get().await.map(Conn::Postgres),
        }
        .map_err(unavailable)
    }

    /// Begins a write transaction.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`], or the database refuses to begin.
    pub async fn write(&self) -> Result<Tx> {
        let (conn, begin) = match &self.pools {
            Pools::Sqlite { writer, .. } => {
                (Conn::Sqlite(writer.get().await.map_err(unavailable)?), "BEGIN IMMEDIATE")
            }
            Pools::Postgres(pool) => (Conn::Postgres(pool.get().await.map_err(unavailable)?), "BEGIN"),
        };
        // Whole before it begins: where nobody awaits the end of this (a request whose client went), the transaction
        // that begins all the same ends with it, or its connection would come back to the pool with it open.
        let mut tx = Tx { conn: Some(conn), chain: self.chain.clone() };
        tx.batch(begin).await?;
        Ok(tx)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        let mut conn = self.read().await?;
        conn.batch("SELECT 1").await.map_err(DatabaseError::Query)
    }

    /// Whether other processes may be at work on the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.pools, Pools::Postgres(_))
    }

    /// `sqlite` or `postgres`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.pools {
            Pools::Sqlite { .. } => "sqlite",
            Pools::Postgres(_) => "postgres",
        }
    }
}

fn sqlite_pool(url: &str, pragmas: &'static str, size: usize) -> Result<Pool<Sqlite>> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |url| {
        async move {
            let mut conn = Sqlite::establish(url).await?;
            set_up(&mut conn, pragmas).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(conn)
        }
        .boxed()
    });
    pool(AsyncDieselConnectionManager::new_with_config(url, config), size).build().map_err(unavailable)
}

/// Prepares a connection. Of processes that open a new file at once, one changes how it keeps its journal, and SQLite
/// refuses the others at once, whatever `busy_timeout` says, since they have begun to read it: they try again.
async fn set_up(conn: &mut Sqlite, pragmas: &str) -> Result<(), diesel::result::Error> {
    use diesel::result::Error;
    let end = Instant::now() + SQLITE_WAIT;
    loop {
        let done = conn.batch_execute(pragmas).await;
        let locked =
            matches!(&done, Err(Error::DatabaseError(_, info)) if info.message() == "database is locked");
        if !locked || Instant::now() >= end {
            return done;
        }
        tokio::time::sleep(SQLITE_AGAIN).await;
    }
}

fn postgres_pool(url: &str) -> Result<Pool<AsyncPgConnection>> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
    let ask = Hook::async_fn(|conn: &mut AsyncPgConnection, metrics| {
        let rested = metrics.last_used() > RESTED;
        Box::pin(async move {
            if !rested {
                return Ok(());
            }
            conn.batch_execute("SELECT 1").await.map_err(|e| HookError::Backend(PoolError::QueryError(e)))
        })
    });
    pool(manager, POSTGRES_CONNECTIONS).pre_recycle(ask).build().map_err(unavailable)
}

fn pool<C>(
    manager: AsyncDieselConnectionManager<C>,
    size: usize,
) -> PoolBuilder<AsyncDieselConnectionManager<C>>
where
    AsyncDieselConnectionManager<C>: deadpool::managed::Manager<Type = C>,
    C: 'static,
{
    Pool::builder(manager).max_size(size).wait_timeout(Some(POOL_WAIT)).runtime(deadpool::Runtime::Tokio1)
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> DatabaseError {
    DatabaseError::Unavailable(Box::new(error))
}
