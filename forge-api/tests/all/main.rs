//! FORGE through its own door: the real router over a real socket, on both databases. The broker is
//! away throughout; the whole line with a broker stands in the crate `tests`.

mod app;
mod audit;
mod authorization;
mod beside;
mod bundle;
mod content;
mod database;
mod drafts;
mod finding;
mod first;
mod headers;
mod history;
mod hostile;
mod input;
mod line;
mod mail;
mod manners;
mod members;
mod oidc;
mod orders;
mod organisations;
mod people;
mod publishing;
mod sessions;
mod set_up;
mod sign_in;
mod smtp;
mod speed;
mod throttle;
mod tokens;
mod transfer;
mod trying;
mod usage;
mod versions;
mod webhooks;
