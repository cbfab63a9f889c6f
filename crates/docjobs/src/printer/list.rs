//! `docjobs printer list`: what the cloud holds for the printer.

use jobs_core::clock::bounded;
use printer_jobs::{ListQuery, StatusFilter};

use super::{connect, hang_up, no_list, render, without_id};
use crate::app::App;
use crate::exit::CommandError;
use crate::output::{print_json, print_line};

pub(super) async fn list(app: &App, all: bool) -> Result<(), CommandError> {
    let clock = app.clock()?;
    let deadline = clock.now() + app.options.deadline;
    let device = connect(app, &clock).await?;
    // A printer was seen to get jobs without a status; asked for unprinted ones, they are.
    let (query, unsaid) = if all {
        (ListQuery::all(), "unknown")
    } else {
        let query = ListQuery::all().with_status(StatusFilter::Unprinted);
        (query, "unprinted")
    };
    let jobs = bounded(&*clock, deadline, device.jobs_and_unreadable(query)).await;
    hang_up(&device, &*clock).await;
    let (jobs, unreadable) = jobs
        .ok_or_else(no_list)?
        .map_err(|error| CommandError::rejected(&error))?;
    if unreadable > 0 {
        app.report.say(&without_id(unreadable));
    }
    if app.report.is_json() {
        for job in &jobs {
            print_json(&render::as_json(job, unsaid))?;
        }
        return Ok(());
    }
    if jobs.is_empty() && unreadable > 0 {
        return Ok(());
    }
    if jobs.is_empty() {
        app.report.say(if all {
            "the cloud holds no job for this printer"
        } else {
            "no job waits to be printed"
        });
        return Ok(());
    }
    print_line(&render::heading())?;
    for job in &jobs {
        print_line(&render::as_row(job, unsaid))?;
    }
    Ok(())
}
