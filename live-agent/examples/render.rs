//! The smallest host of an agent: renders one prompt, and again whenever it changes.
//!
//! ```text
//! live connect
//! LIVE_CONNECTION=… LIVE_CREDENTIALS=… cargo run -p live-agent --example render -- welcome.message
//! ```

use std::time::Duration;

use live_agent::{LiveAgent, vars};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let id = std::env::args().nth(1).ok_or("name a prompt")?;
    let agent = LiveAgent::builder().service("render-example").or_from_env()?.start().await?;
    let mut changes = agent.subscribe();
    // From the disk at once where something is there; otherwise the broker has a moment to hand it over.
    if agent.list().is_empty() {
        agent.wait_current(Duration::from_secs(10)).await?;
    }
    loop {
        match agent.prompt(&id, &vars! { name: "Ada" }) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("{error}"),
        }
        let change = changes.recv().await?;
        eprintln!("@{} is now {} (serial {})", change.set, change.to.version, change.serial);
    }
}
