//! What goes wrong, one after the other and several at a time. Each fault of a group of agents lasts until its time is
//! over; those of the server are over within seconds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use live_agent::Mode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tests::proxy::{Cut, Flow, Kind, Proxy, Trick};
use tokio::time::Instant;

use crate::crowd::Crowd;

#[derive(Debug, Default)]
pub(crate) struct Faults {
    counts: BTreeMap<&'static str, usize>,
    /// Groups whose line is bad, and until when.
    bad: BTreeMap<usize, Instant>,
    frozen: Vec<(usize, Instant)>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (what, count)) in self.counts.iter().enumerate() {
            write!(f, "{}{what} {count}", if number > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

impl Faults {
    /// Takes back what has lasted long enough, and does the next.
    pub(crate) async fn next(&mut self, crowd: &mut Crowd, random: &mut StdRng) -> Result<()> {
        self.over(crowd, Instant::now()).await?;
        let group = random.random_range(0..crowd.lines.len());
        let until = Instant::now() + Duration::from_secs(random.random_range(1..15));
        let what = match random.random_range(0..100_u32) {
            0..25 => self.cut(&crowd.lines[group], random),
            25..65 => {
                self.bad.insert(group, until);
                self.line(&crowd.lines[group], random)
            }
            65..80 => {
                let agent = random.random_range(0..crowd.len());
                crowd.set_mode(agent, Mode::Frozen).await?;
                self.frozen.push((agent, until));
                "freeze"
            }
            80..90 => {
                pause(crowd, Duration::from_millis(random.random_range(200..5_000))).await?;
                "pause"
            }
            90..97 => {
                crowd.kill_server()?;
                "kill"
            }
            _ => {
                crowd.restart_server().await?;
                "restart"
            }
        };
        *self.counts.entry(what).or_default() += 1;
        Ok(())
    }

    fn cut(&self, line: &Proxy, random: &mut StdRng) -> &'static str {
        line.cut(if random.random::<f64>() < 0.5 { Cut::Fin } else { Cut::Rst });
        "cut"
    }

    fn line(&self, line: &Proxy, random: &mut StdRng) -> &'static str {
        let trick = |kind, each| Trick { subject: String::from("."), kind, each };
        match random.random_range(0..8_u32) {
            0 => {
                line.flow(Flow::Stalled, Flow::Stalled);
                "stall"
            }
            1 => {
                line.flow(Flow::Lost, Flow::Lost);
                "lose both ways"
            }
            2 => {
                line.flow(Flow::Lost, Flow::Open);
                "lose upward"
            }
            3 => {
                line.flow(Flow::Open, Flow::Lost);
                "lose downward"
            }
            4 => {
                line.slow(16 * 1024, Duration::from_millis(200));
                "slow"
            }
            5 => {
                line.play(trick(Kind::Duplicate, 2));
                "duplicate"
            }
            6 => {
                line.play(trick(Kind::Swap, 3));
                "swap"
            }
            _ => {
                line.play(trick(Kind::Drop, 3));
                "drop"
            }
        }
    }

    async fn over(&mut self, crowd: &mut Crowd, now: Instant) -> Result<()> {
        let over: Vec<usize> =
            self.bad.iter().filter(|(_, until)| **until <= now).map(|(group, _)| *group).collect();
        for group in over {
            crowd.lines[group].pass();
            self.bad.remove(&group);
        }
        let (over, lasts): (Vec<_>, Vec<_>) = self.frozen.drain(..).partition(|(_, until)| *until <= now);
        self.frozen = lasts;
        for (agent, _) in over {
            crowd.set_mode(agent, Mode::Accepting).await?;
        }
        Ok(())
    }

    /// Everything is well again.
    pub(crate) async fn take_back(&mut self, crowd: &mut Crowd) -> Result<()> {
        self.over(crowd, Instant::now() + Duration::from_secs(3_600)).await
    }
}

async fn pause(crowd: &Crowd, time: Duration) -> Result<()> {
    // It may just be dead.
    let Some(pid) = crowd.server_pid() else { return Ok(()) };
    let pid = Pid::from_raw(i32::try_from(pid)?);
    kill(pid, Signal::SIGSTOP)?;
    tokio::time::sleep(time).await;
    let _ = kill(pid, Signal::SIGCONT);
    Ok(())
}
