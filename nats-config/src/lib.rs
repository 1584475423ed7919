//! The broker's names and files, each spelled once.
//!
//! | module | what it holds |
//! |---|---|
//! | [`subject`] | every subject of FORGE and its agents |
//! | [`system`] | subjects of the broker itself: system account and JetStream API |
//! | [`header`] | message headers |
//! | [`access`] | the table of who may publish and subscribe what |
//! | [`account`] | accounts, exports, imports, and what each kind of user may do |
//! | [`stream`] | the stream of a scope and the durable consumer of an agent |
//! | [`conf`] | the server's configuration files (`conf/`) |
//! | [`tls`] | whom a client believes to be the broker, and what may go unencrypted |

pub mod access;
pub mod account;
pub mod conf;
pub mod header;
pub mod stream;
pub mod subject;
pub mod system;
pub mod tls;
