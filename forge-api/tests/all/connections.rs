//! Connections to the database: those that somebody left in the middle of something, and those that ended.

use std::task::Poll;

use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl as _;
use forge_api::auth::Actor;
use forge_api::author;
use forge_api::database::{Conn, Database};
use forge_api::error::ApiError;
use tests::until::{millis, secs, until};

use crate::app::{App, on_both};

on_both!(
    a_transaction_whose_begin_nobody_awaits_is_ended,
    what_the_database_server_ends_is_made_again,
    a_query_whose_connection_ends_says_that_the_database_is_away,
);

/// Starts a future as far as it comes by itself, and drops it: what becomes of a request whose client went.
async fn start_and_drop(future: impl Future) {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let _ = future.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

async fn count(database: &Database, what: &'static str) -> i64 {
    let mut conn = database.read().await.unwrap();
    let query = diesel::select(sql::<BigInt>(what));
    match &mut conn {
        Conn::Postgres(c) => query.get_result(&mut **c).await.unwrap(),
        Conn::Sqlite(c) => query.get_result(&mut **c).await.unwrap(),
    }
}

/// Ends every other connection to the same database, as its administrator may. Nothing where it is a file.
async fn end_the_others(app: &App) {
    if app.is_postgres() {
        let others = "COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                      WHERE pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'";
        // Its own connections are other ones: all of the app's end.
        let database = Database::open(&app.config().database).await.unwrap();
        count(&database, others).await;
    }
}

async fn a_transaction_whose_begin_nobody_awaits_is_ended(app: App) {
    let database = &app.state.database;
    // Somebody else writes: on SQLite a transaction waits for that to begin.
    let other = Database::open(&app.config().database).await.unwrap();
    let held = other.write().await.unwrap();
    let left = tokio::time::timeout(millis(200), database.write()).await;
    drop(left);
    drop(held);
    for n in 0..20 {
        start_and_drop(database.write()).await;
        let tx = tokio::time::timeout(secs(30), database.write()).await.expect("it waited in vain");
        tx.unwrap_or_else(|e| panic!("write {n} did not begin: {e:?}")).commit().await.unwrap();
    }
    if app.is_postgres() {
        let open = "COUNT(*) FROM pg_stat_activity \
                    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        until("no transaction is left open", secs(10), async || {
            (count(&other, open).await == 0).then_some(())
        })
        .await;
    }
}

async fn what_the_database_server_ends_is_made_again(app: App) {
    let console = Actor::console();
    let find = || author::find_set(&app.state, &console, &app.at, "chat");
    // Some connections, used at once.
    let several = futures::future::join_all((0..8).map(|_| find())).await;
    assert!(several.iter().all(Result::is_ok));
    end_the_others(&app).await;
    // Until no connection of the pool is one that ended.
    until("all of it answers again", secs(10), async || {
        let all = futures::future::join_all((0..16).map(|_| find())).await;
        let fine = all.iter().all(Result::is_ok);
        for error in all.into_iter().filter_map(Result::err) {
            assert!(matches!(error, ApiError::Unavailable(_)), "{error:?}");
        }
        fine.then_some(())
    })
    .await;
}

async fn a_query_whose_connection_ends_says_that_the_database_is_away(app: App) {
    if !app.is_postgres() {
        // A file ends no connection: what can be lost is the file, which is a damage of its own.
        return;
    }
    let database = app.state.database.clone();
    let long = tokio::spawn(async move {
        let mut conn = database.read().await.unwrap();
        let Conn::Postgres(conn) = &mut conn else { unreachable!("asked above") };
        let asked = diesel::sql_query("SELECT pg_sleep(600)").execute(&mut **conn).await;
        ApiError::from(forge_api::database::DatabaseError::Query(asked.unwrap_err()))
    });
    let other = Database::open(&app.config().database).await.unwrap();
    let runs = "COUNT(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%' AND state = 'active'";
    until("the query runs", secs(30), async || (count(&other, runs).await == 1).then_some(())).await;
    end_the_others(&app).await;
    let error = tokio::time::timeout(secs(30), long).await.expect("it runs on").unwrap();
    assert!(matches!(&error, ApiError::Unavailable(why) if why.contains("database")), "{error:?}");
}
