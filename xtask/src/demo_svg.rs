//! `record [--check]`: a picture of the demo, `crates/docjobs/demo.svg`, drawn from what the demo really prints and when.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::clock::Stopwatch;
use crate::metadata::cargo;

const PICTURE: &str = "crates/docjobs/demo.svg";
/// What the README tells to type.
const TYPED: &str = "cargo run -p docjobs -- demo";
const MARGIN: usize = 16;
const LINE: usize = 20;
/// An id above this many letters shows its first eight only.
const LONG: usize = 20;
const SHOWN: usize = 8;
/// Of a letter in the font below, in tenths of a pixel.
const LETTER: usize = 84;

/// A line of the demo.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    after: Duration,
    text: String,
    /// On stderr, for people.
    is_aside: bool,
}

/// Draws the picture, or tells whether the one that is there still shows what the demo prints.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let check = match words {
        [] => false,
        ["--check"] => true,
        _ => bail!("say `cargo xtask record [--check]`"),
    };
    let now = svg(&demo(root)?);
    let path = root.join(PICTURE);
    if !check {
        return fs::write(&path, now).with_context(|| format!("cannot write {PICTURE}"));
    }
    let before = fs::read_to_string(&path).with_context(|| format!("cannot read {PICTURE}"))?;
    let (before, now) = (texts(&before), texts(&now));
    if before != now {
        for line in before.iter().filter(|line| !now.contains(line)) {
            println!("gone: {line}");
        }
        for line in now.iter().filter(|line| !before.contains(line)) {
            println!("new: {line}");
        }
        bail!("{PICTURE} shows another demo: draw it again with `cargo xtask record`");
    }
    Ok(())
}

/// Runs the demo in a folder of its own and listens to both of its streams.
fn demo(root: &Path) -> Result<Vec<Said>> {
    let built = Command::new(cargo())
        .args(["build", "--quiet", "--package", "docjobs"])
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    if !built.success() {
        bail!("the command line does not build");
    }
    let folder = root.join("target/record");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot empty target/record")?;
    }
    fs::create_dir_all(&folder).context("cannot make target/record")?;
    let watch = Stopwatch::start();
    let mut process = Command::new(root.join("target/debug/docjobs"))
        .arg("demo")
        .current_dir(&folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the demo")?;
    let (out, err) = (process.stdout.take(), process.stderr.take());
    let (sender, lines) = mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(|| listen(out, false, &watch, &sender.clone()));
        threads.spawn(|| listen(err, true, &watch, &sender.clone()));
    });
    drop(sender);
    let status = process.wait().context("the demo cannot be waited for")?;
    if !status.success() {
        bail!("the demo failed ({status})");
    }
    let mut said: Vec<Said> = lines.into_iter().collect();
    said.sort_by_key(|said| said.after);
    // Nobody else has this folder.
    let here = format!("{}/", folder.display());
    for said in &mut said {
        said.text = shorter(&said.text.replace(&here, ""));
    }
    Ok(said)
}

fn listen(stream: Option<impl Read>, is_aside: bool, watch: &Stopwatch, to: &mpsc::Sender<Said>) {
    let Some(stream) = stream else { return };
    for text in BufReader::new(stream).lines().map_while(Result::ok) {
        let after = watch.elapsed();
        let said = Said {
            after,
            text,
            is_aside,
        };
        if to.send(said).is_err() {
            return;
        }
    }
}

/// Lines appear when they were printed. Where nothing can move, all of them are there.
fn svg(said: &[Said]) -> String {
    let widest = said.iter().map(|said| said.text.chars().count()).max();
    let letters = widest.unwrap_or(0).max(TYPED.len() + 2);
    let width = 2 * MARGIN + (letters * LETTER).div_ceil(10);
    let height = 2 * MARGIN + (said.len() + 1) * LINE;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <title>docjobs demo</title>\n\
         <style>\n\
         text {{ font: 14px ui-monospace, Menlo, Consolas, monospace; fill: #e6e6e6; white-space: pre }}\n\
         .aside {{ fill: #9a9a9a }}\n\
         .typed {{ fill: #8fd18f }}\n\
         text {{ animation: hidden 0s backwards }}\n\
         @keyframes hidden {{ from, to {{ opacity: 0 }} }}\n\
         </style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1c1c1c\"/>\n"
    );
    let typed = format!("$ {TYPED}");
    text.push_str(&line(0, "typed", Duration::ZERO, &typed));
    for (row, said) in said.iter().enumerate() {
        let class = if said.is_aside { "aside" } else { "result" };
        text.push_str(&line(row + 1, class, said.after, &said.text));
    }
    text.push_str("</svg>\n");
    text
}

fn line(row: usize, class: &str, after: Duration, text: &str) -> String {
    let y = MARGIN + row * LINE + LINE * 3 / 4;
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!(
        "<text x=\"{MARGIN}\" y=\"{y}\" class=\"{class}\" style=\"animation-duration: {:.1}s\">{text}</text>\n",
        after.as_secs_f64()
    )
}

/// A text whose long ids show their beginnings only.
fn shorter(text: &str) -> String {
    each_run(text, |run, _| match run.get(..SHOWN) {
        Some(beginning) if run.len() > LONG => format!("{beginning}…"),
        _ => run.to_owned(),
    })
}

/// What a picture says, sorted, without when, and without ids, which are new each time.
fn texts(svg: &str) -> Vec<String> {
    let mut texts: Vec<String> = svg
        .lines()
        .filter(|line| line.starts_with("<text "))
        .filter_map(|line| line.strip_suffix("</text>")?.split_once('>'))
        .map(|(_, text)| {
            each_run(text, |run, next| {
                let is_odd = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
                // No word of ours is long and has a digit or a capital inside.
                let is_made_up = run.len() >= 10 && run.bytes().skip(1).any(is_odd);
                let is_id = next == Some('…') || is_made_up;
                if is_id { "ID" } else { run }.to_owned()
            })
        })
        .collect();
    // Print jobs of one second come in any order.
    texts.sort();
    texts
}

/// Replaces each run of letters, digits and underscores, with the letter after it at hand.
fn each_run(text: &str, replace: impl Fn(&str, Option<char>) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let end = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let mut letters = after.chars();
        let next = letters.next();
        if !run.is_empty() {
            out.push_str(&replace(run, next));
        }
        out.extend(next);
        rest = letters.as_str();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(after: u64, text: &str, is_aside: bool) -> Said {
        Said {
            after: Duration::from_millis(after),
            text: text.to_owned(),
            is_aside,
        }
    }

    #[test]
    fn a_picture_has_the_command_and_each_line_with_its_time() {
        let picture = svg(&[said(250, "a < b & c", false), said(1340, "and", true)]);
        assert!(picture.contains(&format!(">$ {TYPED}</text>")), "{picture}");
        assert!(picture.contains(
            "class=\"result\" style=\"animation-duration: 0.2s\">a &lt; b &amp; c</text>"
        ));
        assert!(picture.contains("class=\"aside\" style=\"animation-duration: 1.3s\">and</text>"));
    }

    #[test]
    fn another_text_is_another_demo_and_another_time_or_id_is_not() {
        let id = |letter: &str| shorter(&format!("resource {}", letter.repeat(32)));
        assert_eq!(id("a"), "resource aaaaaaaa…");
        let picture = |text: &str, after| texts(&svg(&[said(after, text, false)]));
        assert_eq!(picture(&id("a"), 10), picture(&id("b"), 999));
        assert_eq!(
            picture("job TAU9f03n0x done", 1),
            picture("job 2026112217 done", 1)
        );
        assert_ne!(picture("10 credits", 10), picture("20 credits", 10));
        assert_ne!(picture("a", 10), texts(&svg(&[])));
    }

    #[test]
    fn the_picture_of_the_tree_shows_what_the_readme_tells_to_type() {
        let root = crate::root();
        let picture = fs::read_to_string(root.join(PICTURE)).unwrap();
        assert!(picture.contains(&format!(">$ {TYPED}</text>")));
        for readme in ["README.md", "README.zh-CN.md"] {
            let text = fs::read_to_string(root.join(readme)).unwrap();
            assert!(
                text.contains(&format!("$ {TYPED}\n")) && text.contains(PICTURE),
                "{readme}"
            );
        }
    }
}
