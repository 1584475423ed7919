//! The broker as it is shipped, on a real nats-server: accounts, permissions, credentials,
//! publishing, replay, and what happens when it dies.

mod broker {
    mod cluster;
    mod credentials;
    mod fleet;
    mod isolation;
    mod leaf;
    mod limits;
    mod permissions;
    mod publish;
    mod raw;
    mod server;
}
