//! The documents of a batch as jobs: read and digested, or known again unread, and what the ledger knows of each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jobs_ledger::{Estimate, FileIdentity, JobRecord, Ledger, LedgerId, Stage};
use jobs_runner::{DynHandler, InputError, InputSource, JobInput, Runner};
use serde_json::Value;

use crate::exit::CommandError;
use crate::input;
use crate::input_args::BatchArgs;
use crate::inputs::{ResultName, Selected, Source};

/// One document of a batch.
pub(super) struct Document {
    /// As messages name it.
    pub(super) shown: String,
    pub(super) input: JobInput,
    /// Whether its digest is that which the ledger remembers of the file.
    is_known_unread: bool,
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
    /// Of results that it has given in the format that is asked for.
    pub(super) digests: Vec<[u8; 32]>,
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
            digests: job
                .sha256
                .filter(|_| is_wanted_format)
                .into_iter()
                .collect(),
            is_wanted_format,
            error: job.error.clone(),
        }
    }
}

/// How documents are turned into jobs.
pub(super) struct Describing<'a> {
    pub(super) handler: DynHandler,
    /// The options of every job.
    pub(super) options: Value,
    pub(super) format: Option<&'static str>,
    pub(super) args: &'a BatchArgs,
    /// Where stdin was written to.
    pub(super) stdin: Option<PathBuf>,
    /// Whether what a document costs is asked for, which takes more than its digest.
    pub(super) has_estimates: bool,
    /// Whether also files are read that the ledger knows.
    pub(super) verifies: bool,
    /// Whether the ledger is told what was read.
    pub(super) remembers: bool,
}

/// The documents that can be read, and those found below a folder that cannot.
#[derive(Default)]
pub(super) struct Described {
    pub(super) documents: Vec<Document>,
    pub(super) unreadable: Vec<(String, InputError)>,
}

/// A file whose digest the ledger knows, or may learn.
struct Seen {
    /// From before it is read; none where a later change might not show.
    identity: Option<FileIdentity>,
    digest: Option<[u8; 32]>,
}

/// How many files the ledger is asked about, and told about, in one go.
const SEEN_AT_ONCE: usize = 256;

impl Describing<'_> {
    /// Digests every document, and reads those that the ledger does not know by their size, time of change and inode.
    /// `done` is told after each.
    pub(super) async fn describe(
        &self,
        ledger: &Ledger,
        selected: Vec<Selected>,
        done: impl Fn(usize),
    ) -> Result<Described, CommandError> {
        let mut described = Described::default();
        let template = self.template(&selected)?;
        let mut counted = 0;
        let mut selected = selected.into_iter();
        loop {
            let some: Vec<Selected> = selected.by_ref().take(SEEN_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let known = self.seen(ledger, &some).await?;
            let mut read = Vec::new();
            tokio::task::block_in_place(|| -> Result<(), CommandError> {
                for (selected, seen) in some.into_iter().zip(known) {
                    let input = self.input(&selected.source, template.as_ref(), &seen);
                    self.add(&mut described, &selected, input, seen.digest.is_some())?;
                    if let (Some(document), Some(identity), None) =
                        (described.documents.last(), seen.identity, seen.digest)
                        && document.input.path() == Some(&identity.path)
                        && FileIdentity::of(&identity.path).is_ok_and(|now| now == identity)
                    {
                        read.push((identity, document.input.digest()));
                    }
                    counted += 1;
                    done(counted);
                }
                Ok(())
            })?;
            // Whoever cannot remember reads once more the next time.
            if self.remembers
                && let Err(problem) = ledger.remember_inputs(&read).await
            {
                tracing::warn!(%problem, "what was read is not remembered");
            }
        }
        mark_same(&mut described.documents);
        Ok(described)
    }

    fn add(
        &self,
        described: &mut Described,
        selected: &Selected,
        input: Result<JobInput, InputError>,
        is_known_unread: bool,
    ) -> Result<(), CommandError> {
        let shown = selected.source.to_string();
        match input {
            Ok(input) => described.documents.push(Document {
                shown,
                input: self.args.in_run(input),
                is_known_unread,
                name: self.name(selected),
                same_as: None,
                known: None,
            }),
            Err(error) if selected.is_named => return Err(error.into()),
            Err(error) => described.unreadable.push((shown, error)),
        }
        Ok(())
    }

    /// What the ledger knows about these.
    async fn seen(
        &self,
        ledger: &Ledger,
        selected: &[Selected],
    ) -> Result<Vec<Seen>, CommandError> {
        let now = ledger.clock().wall();
        let identity = |selected: &Selected| match &selected.source {
            Source::File(path) => {
                let identity = FileIdentity::of(path).ok();
                identity.filter(|it| it.path.to_str().is_some())
            }
            _ => None,
        };
        let identities: Vec<Option<FileIdentity>> = selected.iter().map(identity).collect();
        let files: Vec<FileIdentity> = identities.iter().flatten().cloned().collect();
        let mut digests = match self.verifies {
            true => vec![None; files.len()],
            false => ledger.known_inputs(&files).await?,
        }
        .into_iter();
        Ok(identities
            .into_iter()
            .map(|identity| Seen {
                digest: identity.as_ref().and_then(|_| digests.next().flatten()),
                identity: identity.filter(|it| it.is_settled(now)),
            })
            .collect())
    }

    /// The input of an empty file of such a type. What one file needs, all of them need: only their contents differ.
    fn template(&self, selected: &[Selected]) -> Result<Option<JobInput>, CommandError> {
        let file = selected.iter().find_map(|selected| match &selected.source {
            Source::File(path) => Some(path),
            _ => None,
        });
        let Some(path) = file else {
            return Ok(None);
        };
        let folder = super::scratch_folder()?;
        let empty = folder
            .path()
            .join(format!("empty.{}", crate::inputs::extension(path)));
        std::fs::write(&empty, "").map_err(|problem| InputError::unreadable(&empty, problem))?;
        Ok(Some(self.of(InputSource::Path(empty))?))
    }

    fn input(
        &self,
        source: &Source,
        template: Option<&JobInput>,
        seen: &Seen,
    ) -> Result<JobInput, InputError> {
        let path = match source {
            Source::File(path) => path.as_path(),
            Source::Stdin => self.stdin.as_deref().unwrap_or(Path::new("-")),
            Source::Url(url) => return self.of(InputSource::Url(url.clone())),
            Source::Job(id) => return self.of(InputSource::Job(id.clone())),
        };
        let Some(template) = template else {
            return self.of(InputSource::Path(path.to_owned()));
        };
        if let Some(digest) = seen.digest {
            return template.for_file(path, digest);
        }
        if self.has_estimates {
            return self.of(InputSource::Path(path.to_owned()));
        }
        let read = jobs_runner::open(path)?
            .reader()
            .and_then(|mut reader| jobs_runner::digest(&mut reader));
        let digest = read.map_err(|problem| InputError::unreadable(path, problem))?;
        template.for_file(path, digest)
    }

    /// What a new document costs, as far as that is known.
    pub(super) fn estimate(&self, document: &Document) -> Estimate {
        match document.input.path() {
            Some(path) if document.is_known_unread => {
                let read = self.of(InputSource::Path(path.to_owned()));
                read.map_or(Estimate::Unknown, |input| self.handler.estimate(&input))
            }
            _ => self.handler.estimate(&document.input),
        }
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
                let Some(job) = found else { continue };
                let mut known = Known::of(&job, &self.handler, self.format);
                if known.stage == Stage::Completed && known.digests.is_empty() {
                    known.digests = runner.delivered_digests(&job, self.format).await?;
                }
                document.known = Some(known);
            }
        }
        Ok(())
    }
}

/// How many jobs are asked for, or recorded, in one go. Rows are read on several threads, each of which keeps as much
/// memory as the largest answer took.
pub(super) const CHUNK: usize = 250;

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

/// Whether a file has one of these contents.
pub(super) fn holds(path: &Path, digests: &[[u8; 32]]) -> bool {
    if digests.is_empty() {
        return false;
    }
    let found = std::fs::File::open(path).and_then(|mut file| jobs_runner::digest(&mut file));
    found.is_ok_and(|found| digests.contains(&found))
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
