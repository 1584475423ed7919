//! The table that people read, and `target/bench/results.json` that programs read.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// One figure. `ratio` is `value / baseline`, measured in the same run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) baseline: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) aim: Option<String>,
    pub(crate) met: Option<bool>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, baseline: None, ratio: None, aim: None, met: None }
    }

    pub(crate) fn against(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self.ratio = (baseline > 0.0).then(|| self.value / baseline);
        self
    }

    /// The aim is a bound on the value.
    pub(crate) fn at_most(mut self, bound: f64) -> Self {
        self.aim = Some(format!("<= {bound} {}", self.unit));
        self.met = Some(self.value <= bound);
        self
    }

    /// The aim is a bound below the value.
    pub(crate) fn at_least(mut self, bound: f64) -> Self {
        self.aim = Some(format!(">= {bound} {}", self.unit));
        self.met = Some(self.value >= bound);
        self
    }

    /// The aim is a bound on the ratio to the baseline.
    pub(crate) fn at_most_times(mut self, bound: f64) -> Self {
        self.aim = Some(format!("<= {bound} x baseline"));
        self.met = self.ratio.map(|ratio| ratio <= bound);
        self
    }

    /// The figure in one line.
    pub(crate) fn line(&self) -> String {
        let mut out = format!("{}: {} {}", self.name, digits(self.value), self.unit);
        if let (Some(baseline), Some(ratio)) = (self.baseline, self.ratio) {
            out.push_str(&format!(", baseline {} {}, ratio {ratio:.2}", digits(baseline), self.unit));
        }
        match self.met {
            Some(true) => out + ", met",
            Some(false) => out + ", MISSED",
            None => out,
        }
    }

    /// The aim is to be faster than the baseline.
    pub(crate) fn faster(mut self) -> Self {
        self.aim = Some("< 1 x baseline".into());
        self.met = self.ratio.map(|ratio| ratio < 1.0);
        self
    }
}

/// Prints the table.
pub(crate) fn print(figures: &[Figure]) {
    let cells: Vec<[String; 6]> = figures
        .iter()
        .map(|f| {
            [
                f.name.clone(),
                format!("{} {}", digits(f.value), f.unit),
                f.baseline.map_or_else(String::new, |b| format!("{} {}", digits(b), f.unit)),
                f.ratio.map_or_else(String::new, |r| format!("{r:.2}")),
                f.aim.clone().unwrap_or_default(),
                f.met.map_or("", |met| if met { "met" } else { "MISSED" }).to_owned(),
            ]
        })
        .collect();
    let head = ["what", "value", "baseline", "ratio", "aim", ""].map(str::to_owned);
    let widths: Vec<usize> = (0..head.len())
        .map(|i| cells.iter().chain([&head]).map(|row| row[i].chars().count()).max().unwrap_or(0))
        .collect();
    for row in [&head].into_iter().chain(&cells) {
        let mut line = String::new();
        for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width - cell.chars().count());
            // Figures stand at the right.
            let text = if (1..4).contains(&i) { gap + cell } else { cell.clone() + &gap };
            line.push_str(&text);
            line.push_str("  ");
        }
        println!("{}", line.trim_end());
    }
}

/// Writes the figures as JSON.
pub(crate) fn write(figures: &[Figure], file: &Path) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(figures).context("figures as JSON")?;
    std::fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))
}

/// Three digits that count, and no more.
fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
