//! The row that an intent or a ticket becomes, or the job that it attaches to.

use std::path::Path;
use std::time::SystemTime;

use jobs_core::{JobId, Ticket};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::accounts::JoinedAccounts;
use super::row::{self, Writer, select_jobs};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::event::{Note, one_line};
use crate::id::LedgerId;
use crate::intent::Intent;
use crate::job_record::{JobRecord, micros};
use crate::stage::Stage;
use crate::store::{Tx, args};

/// A row that is about to be.
#[derive(Clone)]
pub(super) struct NewJob {
    pub(super) vendor: String,
    pub(super) kind: String,
    pub(super) account: String,
    live: Vec<u8>,
    /// The digests of the same wish with other keys of the account.
    also: Vec<Vec<u8>>,
    content: Vec<u8>,
    options: String,
    request: Option<String>,
    private_request: Option<String>,
    input: String,
    input_path: Option<String>,
    output: Option<String>,
    format: Option<String>,
    pub(super) again: bool,
    stage: Stage,
    pub(super) remote_id: Option<String>,
    accepted_at: Option<i64>,
    max_calls: Option<i64>,
    actor: Option<String>,
    /// What is bought anew by this intent alone.
    purchase: Option<Purchase>,
}

/// A request to buy again: repeated, it attaches to the job that it made.
#[derive(Clone)]
struct Purchase {
    request: Vec<u8>,
    /// The same request with other keys of the account.
    also: Vec<Vec<u8>>,
    /// The job that was bought before, where it is named.
    of: Option<LedgerId>,
}

pub(super) enum Inserted {
    New(LedgerId),
    Known(Box<JobRecord>),
}

impl NewJob {
    pub(super) fn intended(intent: &Intent, joined: &JoinedAccounts) -> Result<Self, LedgerError> {
        check_names(intent)?;
        let accounts = joined.of(intent.account);
        let mut digests = accounts.iter().map(|it| intent.digest_of(*it).to_vec());
        let mut requests = accounts
            .iter()
            .filter_map(|it| intent.purchase_of(*it).map(Vec::from));
        Ok(Self {
            vendor: intent.vendor.to_string(),
            kind: intent.kind.to_string(),
            account: intent.account.to_string(),
            live: digests.next().unwrap_or_default(),
            also: digests.collect(),
            content: intent.content.to_vec(),
            options: intent.options.to_string(),
            request: json(&intent.request),
            private_request: json(&intent.private_request),
            input: one_line(&intent.input).into(),
            input_path: path(intent.input_path.as_deref())?,
            output: path(intent.output.as_deref())?,
            format: intent.format.as_deref().map(one_line).map(Into::into),
            again: intent.again || intent.again_of.is_some() || intent.run.is_some(),
            max_calls: intent.max_calls.map(i64::from),
            actor: intent.actor.as_deref().map(|actor| one_line(actor).into()),
            purchase: requests.next().map(|request| Purchase {
                request,
                also: requests.collect(),
                of: intent.again_of,
            }),
            stage: Stage::Intended,
            remote_id: None,
            accepted_at: None,
        })
    }

    pub(super) fn held(ticket: &Ticket, output: Option<&Path>) -> Result<Self, LedgerError> {
        let digest = Sha256::digest(ticket.to_string()).to_vec();
        Ok(Self {
            vendor: ticket.vendor().to_owned(),
            kind: ticket.kind().to_owned(),
            account: ticket.account().to_string(),
            live: digest.clone(),
            also: Vec::new(),
            content: digest,
            options: Value::Null.to_string(),
            request: None,
            private_request: None,
            input: String::new(),
            input_path: None,
            output: path(output)?,
            format: None,
            again: false,
            max_calls: None,
            actor: None,
            purchase: None,
            stage: Stage::Accepted,
            remote_id: Some(ticket.id().to_string()),
            accepted_at: Some(micros(ticket.accepted())),
        })
    }

    /// Of an intent that buys again, the job that was bought before is no longer attached to: whoever asks without "again"
    /// from now on attaches to the newest.
    pub(super) async fn insert_or_find(
        &self,
        tx: &mut Tx,
        by: &Writer,
    ) -> Result<Inserted, LedgerError> {
        if let Some(purchase) = &self.purchase {
            return self.buy_again(tx, by, purchase).await;
        }
        if self.again {
            self.retire(tx).await?;
        }
        self.insert(tx, by).await
    }

    /// Nobody attaches to the job any more that this wish is so far.
    async fn retire(&self, tx: &mut Tx) -> Result<(), LedgerError> {
        for live in self.digests() {
            let sql = "UPDATE job SET live = NULL WHERE live = $1";
            tx.run(sql, args![live.clone()]).await?;
        }
        Ok(())
    }

    fn digests(&self) -> impl Iterator<Item = &Vec<u8>> {
        std::iter::once(&self.live).chain(&self.also)
    }

    /// The request is written first: of two at once, the second waits and finds the job of the first.
    async fn buy_again(
        &self,
        tx: &mut Tx,
        by: &Writer,
        purchase: &Purchase,
    ) -> Result<Inserted, LedgerError> {
        for request in std::iter::once(&purchase.request).chain(&purchase.also) {
            if let Some(known) = bought(tx, request).await? {
                return self.same(known);
            }
        }
        if let Some(of) = purchase.of
            && let Some(same) = self.check_bought(tx, of).await?
        {
            return self.same(same);
        }
        let id = LedgerId::new(by.now);
        let noted = tx
            .run(
                "INSERT INTO purchase (request, job) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                args![purchase.request.clone(), id.to_string()],
            )
            .await?;
        if noted == 0 {
            let known = bought(tx, &purchase.request).await?;
            return self.same(known.ok_or_else(|| LedgerError::not_found(id))?);
        }
        self.retire(tx).await?;
        if self.try_insert(tx, by, id).await? {
            return Ok(Inserted::New(id));
        }
        Err(LedgerError::new(
            LedgerErrorKind::Locked,
            "the same input is written down by another process at this moment: repeat the call",
        ))
    }

    fn is_of(&self, job: &JobRecord) -> bool {
        self.digests()
            .any(|live| job.digest.as_slice() == live.as_slice())
    }

    fn same(&self, job: JobRecord) -> Result<Inserted, LedgerError> {
        if !self.is_of(&job) {
            return Err(another(job.id));
        }
        Ok(Inserted::Known(Box::new(job)))
    }

    /// Whether the job that is to be bought again can be: gives it where nothing of it was bought yet.
    async fn check_bought(
        &self,
        tx: &mut Tx,
        of: LedgerId,
    ) -> Result<Option<JobRecord>, LedgerError> {
        let job = row::read(tx, of).await?;
        if !self.is_of(&job) {
            return Err(another(of));
        }
        match job.stage {
            Stage::InDoubt | Stage::Submitting => Err(LedgerError::of(
                LedgerErrorKind::InDoubt,
                of,
                "it may have been bought already: adopt or abandon it before it is bought again",
            )),
            Stage::Intended => Ok(Some(job)),
            _ => Ok(None),
        }
    }

    /// What the history says of its beginning.
    pub(super) fn note(&self) -> Note {
        let mut note = Note::none();
        note.data.actor = self.actor.clone();
        note
    }

    pub(super) async fn insert(&self, tx: &mut Tx, by: &Writer) -> Result<Inserted, LedgerError> {
        for _ in 0..8 {
            for live in self.digests() {
                let same = select_jobs!("WHERE j.live = $1");
                if let Some(known) = tx.row(same, args![live.clone()]).await? {
                    return Ok(Inserted::Known(Box::new(row::job(&known)?)));
                }
            }
            let id = LedgerId::new(by.now);
            if self.try_insert(tx, by, id).await? {
                return Ok(Inserted::New(id));
            }
            // The id was taken, or the same wish was written down by another process just now.
        }
        Err(LedgerError::new(
            LedgerErrorKind::Store,
            "no free id was found in eight tries",
        ))
    }

    async fn try_insert(
        &self,
        tx: &mut Tx,
        by: &Writer,
        id: LedgerId,
    ) -> Result<bool, LedgerError> {
        let rows = tx
            .run(
                "INSERT INTO job (id, vendor, kind, account, live, digest, content, options, input, input_path, \
                 output, again, remote_id, accepted_at, attempts, calls, created_at, format, request, \
                 request_private, max_calls, output_seal) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
                 $13, $14, 0, 0, $15, $16, $17, $18, $19, $20) \
                 ON CONFLICT DO NOTHING",
                args![
                    id.to_string(),
                    self.vendor.as_str(),
                    self.kind.as_str(),
                    self.account.as_str(),
                    self.live.clone(),
                    self.live.clone(),
                    self.content.clone(),
                    self.options.as_str(),
                    self.input.as_str(),
                    self.input_path.as_deref(),
                    self.output.as_deref(),
                    self.again,
                    self.remote_id.as_deref(),
                    self.accepted_at,
                    by.now,
                    self.format.as_deref(),
                    self.request.as_deref(),
                    self.private_request.as_deref(),
                    self.max_calls,
                    by.seal(id, self.output.as_deref())
                ],
            )
            .await?;
        if rows == 0 {
            return Ok(false);
        }
        let (due, owner) = match self.stage {
            Stage::Intended => (by.lease_end, Some(by.owner.to_text())),
            _ => (by.now, None),
        };
        tx.run(
            "INSERT INTO wake (id, account, kind, created_at, stage, due, fence, owner, poll_soon, polls, updated_at) \
             VALUES ($1, $2, $3, $7, $4, $5, 1, $6, 0, 0, $7)",
            args![
                id.to_string(),
                self.account.as_str(),
                self.kind.as_str(),
                self.stage.as_str(),
                due,
                owner,
                by.now
            ],
        )
        .await?;
        tx.run(
            "INSERT INTO job_class (vendor, kind, account) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            args![
                self.vendor.as_str(),
                self.kind.as_str(),
                self.account.as_str()
            ],
        )
        .await?;
        Ok(true)
    }
}

fn another(job: LedgerId) -> LedgerError {
    LedgerError::of(
        LedgerErrorKind::InvalidInput,
        job,
        "another input, other options or another account than those of the job to buy again",
    )
}

/// The job that the same request made before.
async fn bought(tx: &mut Tx, request: &[u8]) -> Result<Option<JobRecord>, LedgerError> {
    let known = tx
        .row(
            select_jobs!("WHERE j.id = (SELECT job FROM purchase WHERE request = $1)"),
            args![request.to_vec()],
        )
        .await?;
    known.map(|row| row::job(&row)).transpose()
}

/// As it is stored; PostgreSQL takes no NUL, which JSON text has as an escape alone.
fn json(value: &Value) -> Option<String> {
    (!value.is_null()).then(|| value.to_string())
}

/// Names that a ticket could not carry are refused before anything is bought under them.
fn check_names(intent: &Intent) -> Result<(), LedgerError> {
    let id = JobId::new("0").map_err(|problem| input(&problem.to_string()))?;
    Ticket::new(
        &intent.vendor,
        &intent.kind,
        intent.account,
        SystemTime::UNIX_EPOCH,
        id,
    )
    .map(drop)
    .map_err(|_| input("names of vendors and kinds have 1 to 20 small letters, digits and hyphens"))
}

pub(super) fn path(path: Option<&Path>) -> Result<Option<String>, LedgerError> {
    path.map(|path| match path.to_str() {
        Some(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(input("a path is not Unicode: rename the file")),
    })
    .transpose()
}

fn input(problem: &str) -> LedgerError {
    LedgerError::new(LedgerErrorKind::InvalidInput, problem)
}
