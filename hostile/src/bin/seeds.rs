//! Writes good input for each fuzz target into a folder: `seeds <folder>`.

use std::path::PathBuf;
use std::process::ExitCode;

use hostile::target::TARGETS;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("seeds: say into which folder");
        return ExitCode::from(64);
    };
    for target in TARGETS {
        let folder = folder.join(target.name);
        let written = std::fs::create_dir_all(&folder).and_then(|()| {
            for (number, data) in (target.seeds)().into_iter().enumerate() {
                std::fs::write(folder.join(format!("seed-{number}")), data)?;
            }
            Ok(())
        });
        if let Err(error) = written {
            eprintln!("seeds: {}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
