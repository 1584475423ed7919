//! Subjects of the broker itself: the system account's services and the JetStream API.

/// Answers with the claims it stored; the payload is an account JWT. The last writer wins.
pub const CLAIMS_UPDATE: &str = "$SYS.REQ.CLAIMS.UPDATE";
/// Where else an account JWT can be pushed to, for every account, as FORGE subscribes.
pub const ALL_ACCOUNT_UPDATES: &str = "$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE";
/// The same under its older name, which the server still takes.
pub const ALL_ACCOUNT_UPDATES_OLD: &str = "$SYS.ACCOUNT.*.CLAIMS.UPDATE";
/// Takes accounts away; the payload is a JWT that names them.
pub const CLAIMS_DELETE: &str = "$SYS.REQ.CLAIMS.DELETE";
/// Every connect of every account, as FORGE subscribes.
pub const ALL_CONNECT: &str = "$SYS.ACCOUNT.*.CONNECT";
/// Every disconnect of every account, as FORGE subscribes.
pub const ALL_DISCONNECT: &str = "$SYS.ACCOUNT.*.DISCONNECT";
/// Prefix of the JetStream API within the FORGE account.
pub const JETSTREAM_PREFIX: &str = "$JS.API";
/// Prefix of acknowledgements to JetStream.
pub const ACK_PREFIX: &str = "$JS.ACK";

/// Where an account's JWT is asked for; an empty answer means that there is none.
#[must_use]
pub fn claims_lookup(account: &str) -> String {
    format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP")
}

/// Where the connections of an account are asked for.
#[must_use]
pub fn connections(account: &str) -> String {
    format!("$SYS.REQ.ACCOUNT.{account}.CONNZ")
}

/// Where a server is told to drop one connection.
#[must_use]
pub fn kick(server: &str) -> String {
    format!("$SYS.REQ.SERVER.{server}.KICK")
}

/// Whether a subject of [`ALL_CONNECT`] or [`ALL_DISCONNECT`] tells of a connect.
#[must_use]
pub fn is_connect(subject: &str) -> bool {
    subject.ends_with(".CONNECT")
}

/// `$JS.API.STREAM.INFO.<stream>`.
#[must_use]
pub fn stream_info(stream: &str) -> String {
    format!("{JETSTREAM_PREFIX}.STREAM.INFO.{stream}")
}

/// `$JS.API.DIRECT.GET.<stream>`.
#[must_use]
pub fn direct_get(stream: &str) -> String {
    format!("{JETSTREAM_PREFIX}.DIRECT.GET.{stream}")
}

/// `$JS.API.CONSUMER.PAUSE.<stream>.<consumer>`.
#[must_use]
pub fn consumer_pause(stream: &str, consumer: &str) -> String {
    format!("{JETSTREAM_PREFIX}.CONSUMER.PAUSE.{stream}.{consumer}")
}

/// `$JS.API.CONSUMER.INFO.<stream>.<consumer>`.
#[must_use]
pub fn consumer_info(stream: &str, consumer: &str) -> String {
    format!("{JETSTREAM_PREFIX}.CONSUMER.INFO.{stream}.{consumer}")
}
