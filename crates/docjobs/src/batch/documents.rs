//! The documents of a batch as jobs: read and digested, and what the ledger knows of each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jobs_ledger::{JobRecord, LedgerId, Stage};
use jobs_runner::{DynHandler, InputError, InputSource, JobInput, Runner};
use serde_json::Value;

use crate::exit::CommandError;
use crate::input;
use crate::inputs::{ResultName, Selected, Source};

/// One document of a batch.
pub(super) struct Document {
    /// As messages name it.
    pub(super) shown: String,
    pub(super) input: JobInput,
    pub(super) name: ResultName,
    /// Another document of the batch with the same content, which shares its job.
    pub(super) same_as: Option<usize>,
    /// The job that it is already.
    pub(super) known: Option<Known>,
}

/// What the ledger says about a job.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: LedgerId,
    pub(super) stage: Stage,
    pub(super) output: Option<PathBuf>,
    /// Of the result at its place, if it is in the format that is asked for.
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) is_wanted_format: bool,
    pub(super) error: Option<String>,
}

impl Known {
    pub(super) fn of(job: &JobRecord, handler: &DynHandler, format: Option<&str>) -> Self {
        let is_wanted_format =
            handler.format_of(job.format.as_deref()) == handler.format_of(format);
        Self {
            id: job.id,
            stage: job.stage,
            output: job.output.clone(),
            sha256: job.sha256.filter(|_| is_wanted_format),
            is_wanted_format,
            error: job.error.clone(),
        }
    }
}

/// How documents are turned into jobs.
pub(super) struct Describing {
    pub(super) handler: DynHandler,
    /// The options of every job.
    pub(super) options: Value,
    pub(super) format: Option<&'static str>,
    /// The name under which all of them are paid for again.
    pub(super) run: Option<String>,
    /// Where stdin was written to.
    pub(super) stdin: Option<PathBuf>,
    /// Whether what a document costs is asked for, which takes more than its digest.
    pub(super) has_estimates: bool,
}

/// The documents that can be read, and those found below a folder that cannot.
pub(super) struct Described {
    pub(super) documents: Vec<Document>,
    pub(super) unreadable: Vec<(String, InputError)>,
}

impl Describing {
    /// Reads and digests every document. Blocks on the disk; `done` is told after each.
    pub(super) fn describe(
        &self,
        selected: Vec<Selected>,
        done: impl Fn(usize),
    ) -> Result<Described, CommandError> {
        let mut documents = Vec::with_capacity(selected.len());
        let mut unreadable = Vec::new();
        let mut first_file: Option<JobInput> = None;
        for (at, selected) in selected.into_iter().enumerate() {
            let shown = selected.source.to_string();
            match self.input(&selected.source, &mut first_file) {
                Ok(input) => documents.push(Document {
                    shown,
                    input: match &self.run {
                        Some(name) => input.with_run(name.as_str()),
                        None => input,
                    },
                    name: self.name(&selected),
                    same_as: None,
                    known: None,
                }),
                Err(error) if selected.is_named => return Err(error.into()),
                Err(error) => unreadable.push((shown, error)),
            }
            done(at + 1);
        }
        mark_same(&mut documents);
        Ok(Described {
            documents,
            unreadable,
        })
    }

    fn input(
        &self,
        source: &Source,
        first_file: &mut Option<JobInput>,
    ) -> Result<JobInput, InputError> {
        let path = match source {
            Source::File(path) => path.as_path(),
            Source::Stdin => self.stdin.as_deref().unwrap_or(Path::new("-")),
            Source::Url(url) => return self.of(InputSource::Url(url.clone())),
            Source::Job(id) => return self.of(InputSource::Job(id.clone())),
        };
        // What one file needs, all of them need: only their contents differ.
        if let Some(first) = first_file.as_ref().filter(|_| !self.has_estimates) {
            let read = jobs_runner::open(path)?
                .reader()
                .and_then(|mut reader| jobs_runner::digest(&mut reader));
            let digest = read.map_err(|problem| InputError::unreadable(path, problem))?;
            return first.for_file(path, digest);
        }
        let input = self.of(InputSource::Path(path.to_owned()))?;
        *first_file = Some(input.clone());
        Ok(input)
    }

    fn of(&self, source: InputSource) -> Result<JobInput, InputError> {
        let input = self.handler.input(source, &self.options)?;
        let input = if self.has_estimates {
            input
        } else {
            input.without_live()
        };
        Ok(match self.format {
            Some(format) => input.with_format(format),
            None => input,
        })
    }

    fn name(&self, selected: &Selected) -> ResultName {
        let extension = self.handler.extension(self.format);
        let has_extension = match &selected.source {
            Source::File(_) | Source::Stdin => true,
            Source::Url(_) => {
                let types = self.handler.accepted_types();
                types.contains(&crate::inputs::extension(&selected.name).as_str())
            }
            Source::Job(_) => false,
        };
        if has_extension {
            ResultName::of(&selected.name, extension)
        } else {
            ResultName::appended(&selected.name, extension)
        }
    }

    /// Asks the ledger which of the documents are jobs already.
    pub(super) async fn look_up(
        &self,
        runner: &Runner,
        documents: &mut [Document],
    ) -> Result<(), CommandError> {
        for documents in documents.chunks_mut(CHUNK) {
            let inputs: Vec<JobInput> = documents.iter().map(|it| it.input.clone()).collect();
            let found = runner.find_same(&inputs).await?;
            for (document, found) in documents.iter_mut().zip(found) {
                document.known = found.map(|job| Known::of(&job, &self.handler, self.format));
            }
        }
        Ok(())
    }
}

/// How many jobs are asked for, or recorded, in one go.
pub(super) const CHUNK: usize = 1000;

fn mark_same(documents: &mut [Document]) {
    let mut first: HashMap<[u8; 32], usize> = HashMap::with_capacity(documents.len());
    for (at, document) in documents.iter_mut().enumerate() {
        match first.get(&document.input.digest()) {
            Some(same) => document.same_as = Some(*same),
            None => {
                first.insert(document.input.digest(), at);
            }
        }
    }
}

/// Whether a file has this content.
pub(super) fn holds(path: &Path, sha256: [u8; 32]) -> bool {
    let found = std::fs::File::open(path).and_then(|mut file| jobs_runner::digest(&mut file));
    found.is_ok_and(|found| found == sha256)
}

/// Keeps what comes on stdin, if a document does.
pub(super) async fn stdin(
    selected: &[Selected],
    name: Option<&str>,
) -> Result<Option<input::Given>, CommandError> {
    if !selected.iter().any(|it| it.source == Source::Stdin) {
        return Ok(None);
    }
    let given = input::Given::new(Path::new("-"), name.map(str::to_owned)).await?;
    Ok(Some(given))
}
