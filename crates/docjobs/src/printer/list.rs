//! `docjobs printer list`: what the cloud holds for the printer.

use jobs_core::clock::bounded;
use printer_jobs::wire::{ListQuery, StatusFilter};

use super::{connect, hang_up, no_list, shape};
use crate::app::App;
use crate::exit::Stop;
use crate::place::{print_json, print_line};

pub(super) async fn list(app: &App, all: bool) -> Result<(), Stop> {
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
    let jobs = bounded(&*clock, deadline, device.jobs(query)).await;
    hang_up(&device, &*clock).await;
    let jobs = jobs
        .ok_or_else(no_list)?
        .map_err(|error| Stop::before_acceptance(&error))?;
    if app.report.is_json() {
        for job in &jobs {
            print_json(&shape::as_json(job, unsaid))?;
        }
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
    print_line(&shape::heading())?;
    for job in &jobs {
        print_line(&shape::as_row(job, unsaid))?;
    }
    Ok(())
}
