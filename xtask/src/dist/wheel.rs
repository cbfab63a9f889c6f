//! A wheel around the binary: `pip install` puts it beside the interpreter.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::Release;

pub(super) fn make(release: &Release) -> Result<PathBuf> {
    let name = format!("docjobs-{}", release.version);
    let tag = format!("py3-none-{}", platform(release));
    let path = release.out.join(format!("{name}-{tag}.whl"));
    let file = fs::File::create(&path).with_context(|| path.display().to_string())?;
    let mut wheel = ZipWriter::new(file);
    let mut record = String::new();
    let info = format!("{name}.dist-info");
    let read = |file: &str| fs::read(release.tree.join(file));
    let mut files = vec![(
        format!("{name}.data/scripts/docjobs"),
        read("docjobs")?,
        0o755,
    )];
    for file in [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "THIRD-PARTY-LICENSES.txt",
        "sbom.cdx.json",
    ] {
        files.push((format!("{info}/licenses/{file}"), read(file)?, 0o644));
    }
    let about = metadata(release, &String::from_utf8(read("README.md")?)?);
    files.push((format!("{info}/METADATA"), about.into_bytes(), 0o644));
    let kind = format!(
        "Wheel-Version: 1.0\nGenerator: docjobs xtask\nRoot-Is-Purelib: false\nTag: {tag}\n"
    );
    files.push((format!("{info}/WHEEL"), kind.into_bytes(), 0o644));
    for (name, bytes, mode) in files {
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes));
        record.push_str(&format!("{name},sha256={digest},{}\n", bytes.len()));
        wheel.start_file(name, options(mode))?;
        wheel.write_all(&bytes)?;
    }
    let name = format!("{info}/RECORD");
    record.push_str(&format!("{name},,\n"));
    wheel.start_file(name, options(0o644))?;
    wheel.write_all(record.as_bytes())?;
    wheel.finish()?;
    Ok(path)
}

fn options(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(mode)
}

/// The tag that says on which systems it runs.
fn platform(release: &Release) -> String {
    let cpu = release.cpu();
    match release.glibc {
        Some((major, minor)) => format!("manylinux_{major}_{minor}_{cpu}"),
        None => format!("manylinux_2_17_{cpu}.musllinux_1_1_{cpu}"),
    }
}

fn metadata(release: &Release, readme: &str) -> String {
    format!(
        "Metadata-Version: 2.4\nName: docjobs\nVersion: {}\nSummary: {}\nLicense-Expression: MIT OR Apache-2.0\n\
         License-File: LICENSE-APACHE\nLicense-File: LICENSE-MIT\nLicense-File: THIRD-PARTY-LICENSES.txt\n\
         Requires-Python: >=3.7\nDescription-Content-Type: text/markdown\n\n{readme}",
        release.version, release.description
    )
}
