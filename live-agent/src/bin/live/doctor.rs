//! `live doctor`: everything that an agent needs, looked at.

use live_agent::doctor::{self, Check, Step, Verdict};
use serde_json::json;

use crate::exit::Failure;
use crate::options::{Gathered, coloured};
use crate::show;

pub(crate) async fn examine(gathered: Gathered) -> Result<(), Failure> {
    let settings = &gathered.settings;
    let wrong: Vec<String> = gathered.faults.iter().map(ToString::to_string).collect();
    let (json, colours) = (settings.json, coloured(&std::io::stdout()));
    let mut tell = |step: Step<'_>| match step {
        Step::Found(check) if !json => {
            let _ = show::text(&line(check, colours));
        }
        Step::Waits { what, most } if !json => eprintln!("waiting for {what}, {} s at most", most.as_secs()),
        _ => {}
    };
    let checks = doctor::examine(&settings.given, &wrong, &mut tell).await;
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    if json {
        show::json(&json!({ "worst": worst, "checks": checks }))?;
    }
    match worst {
        Verdict::Ok | Verdict::Skipped => Ok(()),
        Verdict::Warning => Err(Failure::Differs),
        Verdict::Failed => {
            let failed = checks.iter().filter(|check| check.verdict == Verdict::Failed);
            let names: Vec<&str> = failed.map(|check| check.name).collect();
            Err(Failure::Other(anyhow::anyhow!("failed: {}", names.join(", "))))
        }
    }
}

fn line(check: &Check, colours: bool) -> String {
    let (word, colour) = match check.verdict {
        Verdict::Ok => ("ok", "32"),
        Verdict::Skipped => ("skipped", "2"),
        Verdict::Warning => ("warning", "33"),
        Verdict::Failed => ("FAILED", "31"),
    };
    let word = format!("{word:<8}");
    let word = if colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word };
    let advice = check.advice.as_ref().map(|advice| format!("{:25}-> {advice}\n", "")).unwrap_or_default();
    format!("{word} {:<15} {}\n{advice}", check.name, check.found)
}
