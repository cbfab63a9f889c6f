//! `soak [--runs N] [--seed S]`: every vendor operation against servers that behave badly at random, in one process.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

const TEST: &str = "soak::no_neighbour_holds_a_run_or_leaves_anything_behind";
const RUNS: u32 = 2_000;

/// Runs the test that is the soak, with as many runs as are asked for.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let (runs, seed) = request(words)?;
    let status = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--package", "docjobs-tests"])
        .args(["--test", "it", "--", "--exact", "--nocapture", TEST])
        .env("DOCJOBS_SOAK_RUNS", runs.to_string())
        .env("DOCJOBS_SOAK_SEED", seed.to_string())
        .current_dir(root)
        .status()
        .context("cargo cannot be run")?;
    if !status.success() {
        bail!("the soak ended with {status}");
    }
    Ok(())
}

/// How many runs, and the seed of the first.
fn request(words: &[&str]) -> Result<(u32, u32)> {
    let (mut runs, mut seed) = (RUNS, 0);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let number = words
            .next()
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("`{word}` needs a number"))?;
        match *word {
            "--runs" => runs = number,
            "--seed" => seed = number,
            _ => bail!("`{word}` is not known here"),
        }
    }
    Ok((runs, seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_seed_are_numbers_and_nothing_else_is_known() {
        assert_eq!(request(&[]).unwrap(), (RUNS, 0));
        assert_eq!(request(&["--seed", "7", "--runs", "3"]).unwrap(), (3, 7));
        for words in [&["--runs"][..], &["--runs", "x"], &["--run", "1"]] {
            assert!(request(words).is_err(), "{words:?}");
        }
    }
}
