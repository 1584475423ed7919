//! FORGE: where prompts are written, locked and published.
//!
//! The line runs through the modules in this order:
//!
//! | module | what it does |
//! |---|---|
//! | [`author`] | what people write: organisations, projects, environments, sets, drafts, import |
//! | [`review`] | binds an approval to the digest of a draft |
//! | [`compare`] | two states of a set held against each other, and the version that a change asks for |
//! | [`lock`] | makes a draft a version, which never changes again |
//! | [`alias`] | names for versions, and what an address leads to |
//! | [`rule`] | who may publish where, and after how many approvals |
//! | [`publish`] | writes publication, serial and outbox row in one transaction |
//! | [`relay`] | sends what stands in the outbox, once |
//! | [`fleet`] | takes up what agents say: statuses, answers, enrolments |
//! | [`order`] | orders to agents: take up what is published, or do not |
//! | [`contract`] | what agents were built for, and whom a version would break |
//! | [`usage`] | what agents use, counted once |
//! | [`heartbeat`] | tells agents what is newest and what was ordered, signed |
//!
//! Around it:
//!
//! | module | what it holds |
//! |---|---|
//! | [`database`] | SQLite or PostgreSQL behind one source of queries |
//! | [`broker`] | the embedded or external broker, kept as the database says |
//! | [`keys`], [`seal`] | private keys, their rotation and revocation, and how they lie at rest |
//! | [`serial`] | serials that never go back, not even after a restore |
//! | [`credential`] | what agents connect with |
//! | [`auth`], [`session`], [`mail`] | roles, the table of routes; coming in; mail with links |
//! | [`audit`] | who did what, append-only and chained |
//! | [`search`], [`visit`] | finding things; what somebody opened last, and starred |
//! | [`overview`], [`events`] | what the pages show, and when to look again |
//! | [`server`], [`api`], [`ui`] | the web server, the API, the pages |
//! | [`tls`] | certificates, and what they are held against |
//! | [`republish`] | rebuilds the streams of a broker that lost its store |
//! | [`run`], [`demo`], [`seed`] | `forge serve`, `forge demo` and `forge seed` |
//! | [`request`] | one HTTP request to our own server |
//! | [`config`], [`state`], [`limit`], [`clock`], [`error`] | what everything shares |
//! | `aside` | work that needs a processor: so much at once and no more |

pub mod alias;
pub mod api;
mod aside;
pub mod audit;
pub mod auth;
pub mod author;
pub mod broker;
pub mod clock;
pub mod compare;
pub mod config;
pub mod contract;
pub mod credential;
pub mod database;
pub mod demo;
pub mod error;
pub mod events;
pub mod fleet;
pub mod heartbeat;
pub mod keys;
pub mod limit;
pub mod lock;
pub mod mail;
pub mod order;
pub mod overview;
pub mod publish;
pub mod relay;
pub mod republish;
pub mod request;
pub mod review;
pub mod rule;
pub mod run;
pub mod seal;
pub mod search;
pub mod seed;
pub mod serial;
pub mod server;
pub mod session;
pub mod state;
pub mod tls;
pub mod ui;
pub mod usage;
pub mod visit;
pub mod webhook;
