//! `docjobs account`: whose keys have jobs in the ledger, and which keys are of one account.

use std::collections::BTreeMap;

use jobs_core::vendor::Account;
use jobs_ledger::{Ledger, LedgerError};
use jobs_runner::Runner;
use serde_json::json;

use crate::app::App;
use crate::args::{AccountArgs, AccountCommand};
use crate::clean::count;
use crate::exit::CommandError;
use crate::output::{print_json, print_line};
use crate::vendors;

/// An account that has jobs, or whose key is set up here.
struct Known {
    vendor: String,
    account: Account,
    jobs: u64,
    is_in_use: bool,
}

pub(crate) async fn run(app: &App, args: AccountArgs) -> Result<(), CommandError> {
    let ledger = app.ledger().await?;
    let known = known(app, &ledger).await?;
    match args.command {
        None => list(app, &known),
        Some(AccountCommand::Join { old, new }) => join(app, &ledger, &known, &old, &new).await,
    }
}

fn list(app: &App, known: &[Known]) -> Result<(), CommandError> {
    if known.is_empty() && !app.report.is_json() {
        app.report
            .say("no account has a job, and no vendor is set up");
    }
    known.iter().try_for_each(|known| {
        if app.report.is_json() {
            return print_json(&json!({
                "vendor": known.vendor, "account": known.account.to_string(), "jobs": known.jobs,
                "in_use": known.is_in_use,
            }));
        }
        let in_use = if known.is_in_use { ", set up here" } else { "" };
        let jobs = count(known.jobs, "job");
        print_line(&format!(
            "{} {}: {jobs}{in_use}",
            known.vendor, known.account
        ))
    })
}

async fn join(
    app: &App,
    ledger: &Ledger,
    known: &[Known],
    old: &str,
    new: &str,
) -> Result<(), CommandError> {
    let (old, new) = (account(old)?, account(new)?);
    let find = |account| known.iter().find(|known| known.account == account);
    // A mistyped one would stay joined, and be missed when its key comes.
    let Some(to) = find(new) else {
        return Err(CommandError::invalid_input(format!(
            "{new} has no job and is not the account of a key that is set up here; docjobs account lists those that are"
        )));
    };
    if let Some(from) = find(old).filter(|from| from.vendor != to.vendor) {
        return Err(CommandError::invalid_input(format!(
            "{old} is an account of {}, and {new} one of {}",
            from.vendor, to.vendor
        )));
    }
    let moved = ledger.join_accounts(old, new).await?;
    if app.report.is_json() {
        return print_json(&json!({
            "event": "joined", "old": old.to_string(), "new": new.to_string(), "moved": moved,
        }));
    }
    app.report.say(&format!(
        "{old} and {new} are one account: {} moved to {new}",
        count(moved, "job")
    ));
    Ok(())
}

fn account(text: &str) -> Result<Account, CommandError> {
    Account::parse(text).ok_or_else(|| {
        CommandError::invalid_input(format!(
            "{text:?} is no account: those are named by 8 hexadecimal digits, as docjobs account lists them; never type a key"
        ))
    })
}

/// Every account, by vendor.
async fn known(app: &App, ledger: &Ledger) -> Result<Vec<Known>, LedgerError> {
    let mut jobs: BTreeMap<(String, String), u64> = BTreeMap::new();
    for count in ledger.stage_counts().await? {
        *jobs
            .entry((count.vendor, count.account.to_string()))
            .or_default() += count.jobs;
    }
    let in_use = in_use(app, ledger);
    for (vendor, account) in &in_use {
        jobs.entry(((*vendor).to_owned(), account.to_string()))
            .or_default();
    }
    let known = jobs.into_iter().filter_map(|((vendor, account), jobs)| {
        let account = Account::parse(&account)?;
        let is_in_use = in_use.contains(&(vendor.as_str(), account));
        Some(Known {
            vendor,
            account,
            jobs,
            is_in_use,
        })
    });
    Ok(known.collect())
}

/// The accounts of the keys that are set up; a vendor that is set up wrongly has none.
fn in_use(app: &App, ledger: &Ledger) -> Vec<(&'static str, Account)> {
    let mut in_use = Vec::new();
    for vendor in vendors::NAMES {
        let runner = vendors::if_set_up(app, Runner::on(ledger.clone()), vendor);
        let handlers = runner.iter().flat_map(Runner::handlers);
        in_use.extend(handlers.map(|handler| (handler.vendor(), handler.account())));
    }
    in_use
}

/// Of each vendor whose key here has no jobs while another has: that the same input would be bought once more, if both are
/// of one account.
pub(crate) async fn warnings(app: &App, ledger: &Ledger) -> Result<Vec<String>, LedgerError> {
    let known = known(app, ledger).await?;
    let mut warnings = Vec::new();
    for new in known.iter().filter(|it| it.is_in_use && it.jobs == 0) {
        let others = known.iter().filter(|it| it.vendor == new.vendor);
        let Some(old) = others.max_by_key(|it| it.jobs).filter(|it| it.jobs > 0) else {
            continue;
        };
        warnings.push(format!(
            "the {} account {} has no jobs, and {} has {}: if its key was exchanged for this one, say so, or what it bought \
             is bought again: docjobs account join {} {}",
            new.vendor,
            new.account,
            old.account,
            count(old.jobs, "job"),
            old.account,
            new.account
        ));
    }
    Ok(warnings)
}
