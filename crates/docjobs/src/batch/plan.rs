//! Decides what becomes of each document of a batch, and where its result goes. Nothing is written here.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jobs_ledger::{Estimate, LedgerId, RecordedIntent, Stage};
use jobs_runner::BulkJob;

use super::documents::{Describing, Document, Known, holds};
use super::outlook::{Disposition, Outlook, Price};
use super::progress::Ended;
use super::{Places, Running};
use crate::clean::count;
use crate::exit::{CommandError, ExitCode};
use crate::input;
use crate::inputs::{self, Meeting, ResultName, Selection};

/// A batch that is about to begin.
pub(super) struct Plan {
    pub(super) documents: Vec<Planned>,
    pub(super) outlook: Outlook,
    /// How many documents cannot be used as they are.
    pub(super) skipped: usize,
    /// How many of them cannot be read.
    pub(super) unreadable: usize,
    /// What came on stdin is there until the batch ends.
    pub(super) _stdin: Option<input::Given>,
}

/// One document, and what becomes of it.
pub(super) struct Planned {
    pub(super) document: Document,
    pub(super) place: Option<PathBuf>,
    pub(super) disposition: Disposition,
    pub(super) job: Option<LedgerId>,
    /// Whether it is paid for once more.
    again: bool,
    /// Whether its job was submitted before this command.
    pub(super) was_submitted: bool,
    undelivered: Mutex<Option<Ended>>,
}

/// Decides, and refuses what cannot end well. Reads results that are there.
pub(super) fn plan(
    running: &Running<'_>,
    describing: &Describing<'_>,
    documents: Vec<Document>,
    selection: &Selection,
    unreadable: usize,
) -> Result<Plan, CommandError> {
    let batch = running.batch;
    let places = match &running.places {
        Places::Folder(out) => places(&documents, out)?.into_iter().map(Some).collect(),
        Places::File(path) => vec![Some(path.clone()); documents.len()],
        Places::None => vec![None; documents.len()],
    };
    let mut planned: Vec<Planned> = documents
        .into_iter()
        .zip(places)
        .map(|(document, place)| {
            let disposition = disposition(&document, place.as_deref(), batch.has_files());
            let is_failed = disposition == Disposition::FailedBefore;
            let again = is_failed && batch.args.again_failed;
            Planned {
                job: document.known.as_ref().map(|known| known.id),
                disposition: if again { Disposition::New } else { disposition },
                was_submitted: !again
                    && (document.known.as_ref()).is_some_and(|it| it.stage != Stage::Intended),
                document,
                place,
                again,
                undelivered: Mutex::default(),
            }
        })
        .collect();
    for planned in planned.iter_mut().filter(|planned| planned.again) {
        planned.job = None;
    }
    if !running.app.options.overwrite {
        refuse_taken(&planned)?;
    }
    let outlook = outlook(running, describing, &planned, selection, unreadable);
    Ok(Plan {
        documents: planned,
        outlook,
        skipped: selection.skipped() + unreadable,
        unreadable: selection.unreadable.len() + unreadable,
        _stdin: None,
    })
}

/// A place below the folder for results for each.
fn places(documents: &[Document], out: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let names: Vec<ResultName> = documents.iter().map(|it| it.name.clone()).collect();
    let remembered = |at: usize| {
        let known = documents.get(at)?.known.as_ref()?;
        let place = known.output.as_deref().filter(|_| known.is_wanted_format)?;
        Some(place.strip_prefix(out).ok()?.to_owned())
    };
    let chosen = inputs::choose(&names, remembered).map_err(|meeting| {
        let Meeting { name, inputs } = meeting;
        let [one, other] = inputs.map(|at| documents.get(at).map_or("", |it| it.shown.as_str()));
        CommandError::invalid_input(format!(
            "the results of {one} and {other} would both be {}; name a folder above both, or give them to two commands",
            out.join(name).display()
        ))
    })?;
    chosen.iter().map(|name| below(out, name)).collect()
}

fn below(folder: &Path, name: &Path) -> Result<PathBuf, CommandError> {
    let is_below = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if name.components().all(is_below) {
        return Ok(folder.join(name));
    }
    Err(CommandError::invalid_input(format!(
        "a result cannot be called {}, which leads out of {}; give its place with -o",
        name.display(),
        folder.display()
    )))
}

fn disposition(document: &Document, place: Option<&Path>, has_files: bool) -> Disposition {
    let known = document.known.as_ref();
    let is_completed = known.is_some_and(|known| known.stage == Stage::Completed);
    let is_there = known
        .zip(place)
        .is_some_and(|(known, place)| is_there(known, place));
    if is_completed && (is_there || (place.is_none() && has_files)) {
        return Disposition::AlreadyCompleted;
    }
    if !document.is_first() {
        return Disposition::SameContent;
    }
    let Some(known) = known else {
        return Disposition::New;
    };
    match known.stage {
        Stage::Completed => Disposition::Delivered,
        Stage::Failed | Stage::Gone => Disposition::FailedBefore,
        Stage::InDoubt | Stage::Submitting => Disposition::InDoubt,
        _ => Disposition::UnderWay,
    }
}

/// Whether the result of a completed job lies there.
fn is_there(known: &Known, place: &Path) -> bool {
    match known.digests.as_slice() {
        [] => known.is_wanted_format && known.output.as_deref() == Some(place) && place.is_file(),
        digests => holds(place, digests),
    }
}

/// A result never replaces a file that is not its own.
fn refuse_taken(planned: &[Planned]) -> Result<(), CommandError> {
    let mut taken = Vec::new();
    for planned in planned {
        let Some(place) = planned.needed_place() else {
            continue;
        };
        let known = planned.document.known.as_ref();
        let is_its_own = known.is_some_and(|known| {
            let is_arriving = planned.disposition == Disposition::UnderWay
                && known.output.as_deref() == Some(place);
            is_arriving || holds(place, &known.digests)
        });
        if std::fs::symlink_metadata(place).is_ok() && !is_its_own {
            taken.push(place);
        }
    }
    match taken.as_slice() {
        [] => Ok(()),
        [place] => Err(CommandError::invalid_input(format!(
            "{} is there already and is not the result of this document; name another folder with --out, or --overwrite \
             replaces it",
            place.display()
        ))),
        [place, ..] => Err(CommandError::invalid_input(format!(
            "{} are there already and are not the results of these documents, such as {}; name another folder with --out, \
             or --overwrite replaces them",
            count(taken.len(), "file"),
            place.display()
        ))),
    }
}

fn outlook(
    running: &Running<'_>,
    describing: &Describing<'_>,
    planned: &[Planned],
    selection: &Selection,
    unreadable: usize,
) -> Outlook {
    let mut outlook = Outlook::default();
    for planned in planned {
        outlook.add(
            match planned.disposition {
                // A text has no place, it is only printed once more.
                Disposition::Delivered if !running.batch.has_files() => {
                    Disposition::AlreadyCompleted
                }
                disposition => disposition,
            },
            1,
        );
    }
    for (_, largest) in &selection.too_large {
        outlook.add(Disposition::TooLarge(*largest), 1);
    }
    outlook.add(Disposition::Empty, selection.empty.len());
    outlook.add(
        Disposition::Unreadable,
        selection.unreadable.len() + unreadable,
    );
    if running.batch.args.dry_run {
        let mut price = Price::default();
        for planned in planned
            .iter()
            .filter(|planned| planned.disposition == Disposition::New)
        {
            price.add(match describing.estimate(&planned.document) {
                Estimate::Units(units) => Some((units, describing.handler.unit())),
                Estimate::Free => Some((0, describing.handler.unit())),
                _ => None,
            });
        }
        outlook.price = Some(price);
    }
    outlook
}

impl Plan {
    /// The documents with this disposition, by their numbers.
    pub(super) fn with_disposition(&self, disposition: Disposition) -> impl Iterator<Item = usize> {
        let with_it = move |(at, planned): (usize, &Planned)| {
            (planned.disposition == disposition).then_some(at)
        };
        self.documents.iter().enumerate().filter_map(with_it)
    }

    /// A new document as it is recorded.
    pub(super) fn bulk_job(&self, at: usize) -> Option<BulkJob> {
        let planned = self.documents.get(at)?;
        Some(BulkJob {
            input: planned.document.input.clone(),
            output: planned.place.clone(),
            again: planned.again,
        })
    }

    /// A document was recorded; another process may have been faster.
    pub(super) fn recorded(&mut self, at: usize, recorded: RecordedIntent) {
        let Some(planned) = self.documents.get_mut(at) else {
            return;
        };
        match recorded {
            RecordedIntent::New(job) => planned.job = Some(job),
            RecordedIntent::Attached(job) => {
                planned.job = Some(job.id);
                planned.was_submitted = job.stage != Stage::Intended;
                planned.disposition = match job.stage {
                    Stage::Completed => Disposition::Delivered,
                    Stage::Failed | Stage::Gone => Disposition::FailedBefore,
                    Stage::InDoubt => Disposition::InDoubt,
                    _ => Disposition::UnderWay,
                };
            }
        }
    }

    /// Jobs that go on and have no place for their results, and the places.
    pub(super) fn homeless(&self) -> impl Iterator<Item = (LedgerId, PathBuf)> {
        self.documents.iter().filter_map(|planned| {
            let known = planned.document.known.as_ref()?;
            let goes_on = matches!(
                planned.disposition,
                Disposition::UnderWay | Disposition::InDoubt
            );
            let place = planned.place.clone().filter(|_| goes_on)?;
            known.output.is_none().then_some((known.id, place))
        })
    }

    /// Documents with the content of another have its job.
    pub(super) fn share_jobs(&mut self) {
        let jobs: Vec<Option<LedgerId>> = self.documents.iter().map(|it| it.job).collect();
        for planned in &mut self.documents {
            if let Some(first) = planned.document.same_as {
                planned.job = jobs.get(first).copied().flatten();
            }
        }
    }

    /// The documents whose jobs are not settled, or, where tickets are all that is wanted, have not failed: each job once.
    pub(super) fn to_work_on(
        &self,
        wants_tickets: bool,
    ) -> impl Iterator<Item = (LedgerId, &Planned)> {
        let mut seen = HashSet::new();
        let has_ticket = move |planned: &Planned| {
            wants_tickets
                && matches!(
                    planned.disposition,
                    Disposition::AlreadyCompleted | Disposition::Delivered
                )
        };
        self.documents
            .iter()
            .filter(move |planned| planned.is_worked_on() || has_ticket(planned))
            .filter_map(|planned| Some((planned.job?, planned)))
            .filter(move |(job, _)| seen.insert(*job))
    }
}

impl Planned {
    /// Whether its job goes on.
    pub(super) fn is_worked_on(&self) -> bool {
        matches!(
            self.disposition,
            Disposition::New | Disposition::UnderWay | Disposition::InDoubt
        )
    }

    /// Where a result will be put.
    pub(super) fn needed_place(&self) -> Option<&Path> {
        let is_needed = !matches!(
            self.disposition,
            Disposition::AlreadyCompleted | Disposition::FailedBefore
        );
        self.place.as_deref().filter(|_| is_needed)
    }

    /// The end of a job that failed before this command.
    pub(super) fn ended_before(&self) -> Option<Ended> {
        let known = self.document.known.as_ref()?;
        (self.disposition == Disposition::FailedBefore).then(|| Ended {
            exit: ExitCode::Failed,
            line: format!(
                "job {} is {}: {}; --again-failed submits and pays again",
                known.id,
                known.stage,
                known.error.as_deref().unwrap_or_default()
            ),
        })
    }

    /// Its result is there, and could not be put at its place.
    pub(super) fn set_undelivered(&self, ended: Ended) {
        *self
            .undelivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(ended);
    }

    pub(super) fn undelivered(&self) -> Option<Ended> {
        self.undelivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
