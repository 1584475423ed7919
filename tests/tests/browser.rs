//! The pages, used by hand: a real Chromium against a real `forge`, with a real agent.

#[path = "browser/beside.rs"]
mod beside;
#[path = "browser/content.rs"]
mod content;
#[path = "browser/contracts.rs"]
mod contracts;
#[path = "browser/credentials.rs"]
mod credentials;
#[path = "browser/exchange.rs"]
mod exchange;
#[path = "browser/finding.rs"]
mod finding;
#[path = "browser/first_run.rs"]
mod first_run;
#[path = "browser/hooks.rs"]
mod hooks;
#[path = "browser/orders.rs"]
mod orders;
#[path = "browser/pages.rs"]
mod pages;
#[path = "browser/people.rs"]
mod people;
#[path = "browser/playground.rs"]
mod playground;
#[path = "browser/review.rs"]
mod review;
#[path = "browser/session.rs"]
mod session;
#[path = "browser/waiting.rs"]
mod waiting;
#[path = "browser/walk.rs"]
mod walk;
#[path = "browser/without_script.rs"]
mod without_script;
