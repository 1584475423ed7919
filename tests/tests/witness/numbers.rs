//! Canonical JSON writes numbers as ECMAScript does: asked of a JavaScript engine.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use schemas::canonical::to_canonical;

const COUNT: usize = 200_000;
const SEED: u64 = 8_785;

/// Reads the bits of doubles in hexadecimal, one a line, and writes each number.
const SCRIPT: &str = "
const lines = require('fs').readFileSync(0, 'utf8').split('\\n').filter(Boolean);
const view = new DataView(new ArrayBuffer(8));
process.stdout.write(lines.map((line) => {
    view.setBigUint64(0, BigInt('0x' + line));
    return JSON.stringify(view.getFloat64(0));
}).join('\\n'));
";

/// Numbers of all sizes: any bits, whole ones, and the neighbours of powers of ten and two.
fn numbers() -> Vec<f64> {
    let mut random = SmallRng::seed_from_u64(SEED);
    let mut found = vec![0.0, -0.0, f64::MIN_POSITIVE, f64::MAX, f64::MIN, f64::from_bits(1)];
    for exponent in -330..309 {
        let power: f64 = format!("1e{exponent}").parse().expect("a number");
        let bits = power.to_bits();
        found.extend((bits.saturating_sub(2)..=bits + 2).map(f64::from_bits));
    }
    for exponent in 0..1_024 {
        let power = 2_f64.powi(exponent);
        found.extend([power, power - 1.0, power + 1.0, 1.0 / power, -power]);
    }
    while found.len() < COUNT {
        let bits: u64 = random.next_u64();
        found.push(f64::from_bits(bits));
        // Whole numbers about the largest that are exact, and small decimals.
        found.push((bits >> (bits % 60)) as f64);
        found.push(f64::from((bits >> 40) as u32) / 10_f64.powi((bits % 12) as i32));
    }
    found.retain(|number| number.is_finite());
    found
}

#[test]
fn a_javascript_engine_writes_every_number_as_canonical_json_does() {
    let numbers = numbers();
    println!("seed {SEED}, {} numbers", numbers.len());
    let mut node = Command::new("node")
        .args(["-e", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node could not be started (scripts/ensure-tools test installs it): this test did not pass");
    let mut stdin = node.stdin.take().expect("its input");
    let bits: String = numbers.iter().map(|n| format!("{:016x}\n", n.to_bits())).collect();
    let writer = std::thread::spawn(move || stdin.write_all(bits.as_bytes()));
    let done = node.wait_with_output().expect("its output");
    writer.join().expect("the writer").expect("node reads");
    assert!(done.status.success());
    let theirs = String::from_utf8(done.stdout).expect("text");
    let theirs: Vec<&str> = theirs.split('\n').collect();
    assert_eq!(theirs.len(), numbers.len());
    for (number, theirs) in numbers.iter().zip(theirs) {
        let ours = String::from_utf8(to_canonical(number).expect("finite")).expect("text");
        assert_eq!(ours, theirs, "{:016x}", number.to_bits());
    }
}
