//! The broker as it is shipped, on a real nats-server: accounts, permissions, credentials,
//! publishing, replay, and what happens when it dies.

mod broker {
    mod credentials;
    mod fleet;
    mod permissions;
    mod publish;
    mod server;
}
