//! Load: callers that keep their connections and have one request under way on each.
//!
//! A thread writes one request to each of its connections and then reads one answer from each: two calls
//! of the system per request, which is as little as a caller can do. It shares the machine with what it
//! asks, so the processor time of the other side is what counts.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// What was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) requests: u64,
    pub(crate) took: Duration,
    /// Of the process that was asked.
    pub(crate) cpu: Duration,
}

impl Done {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// Processor time of one request there, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }
}

/// Asks `request` again and again for `time`, over so many connections of `threads` threads.
pub(crate) fn run(
    address: SocketAddr,
    pid: u32,
    request: &[u8],
    threads: usize,
    connections: usize,
    time: Duration,
) -> Result<Done> {
    let stop = AtomicBool::new(false);
    let (before, began) = (cpu(pid)?, Instant::now());
    let requests = std::thread::scope(|scope| -> Result<u64> {
        let all: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| ask(address, request, connections / threads, &stop)))
            .collect();
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        all.into_iter().map(|one| one.join().map_err(|_| anyhow::anyhow!("a caller ended"))?).sum()
    })?;
    Ok(Done { requests, took: began.elapsed(), cpu: cpu(pid)?.saturating_sub(before) })
}

fn ask(address: SocketAddr, request: &[u8], connections: usize, stop: &AtomicBool) -> Result<u64> {
    let mut all = Vec::new();
    for _ in 0..connections.max(1) {
        let stream = TcpStream::connect(address).context("connecting")?;
        stream.set_nodelay(true)?;
        all.push(stream);
    }
    let (mut buffer, mut length, mut count) = (vec![0; 64 * 1024], 0, 0);
    while !stop.load(Ordering::Relaxed) {
        for stream in &mut all {
            stream.write_all(request)?;
        }
        for stream in &mut all {
            length = answer(stream, &mut buffer, length)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Reads an answer, which is most likely as long as the last one. Gives its length.
fn answer(stream: &mut TcpStream, buffer: &mut [u8], expected: usize) -> Result<usize> {
    let mut have = 0;
    loop {
        let read = stream.read(&mut buffer[have..])?;
        ensure!(read > 0, "the connection was closed");
        have += read;
        if have == expected {
            return Ok(have);
        }
        let text = &buffer[..have];
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&text[..end])?;
        // What is there already comes without a body.
        let unchanged = head.starts_with("HTTP/1.1 304");
        ensure!(unchanged || head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body = if unchanged { 0 } else { length.context("a length")?.parse::<usize>()? };
        let whole = end + 4 + body;
        if have == whole {
            return Ok(whole);
        }
    }
}

/// Processor time of a process so far, as the kernel counts it.
fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("/proc (Linux only)")?;
    let rest = stat.rsplit_once(") ").context("a stat line")?.1;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // Ticks of 10 ms on every Linux that there is.
    Ok(Duration::from_millis(ticks * 10))
}
