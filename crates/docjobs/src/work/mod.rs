//! `docjobs work`: a worker on a ledger that machines share. Run as many as you like.

mod desk;
mod shift;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jobs_core::{Fleet, FleetConfig};
use tencent_ess::Family;

use self::desk::{Bring, Desk, Hands, LineDesk};
use self::shift::Shift;
use crate::app::App;
use crate::args::{Format, WorkArgs};
use crate::exit::Stop;
use crate::learn::Paces;
use crate::place::{self, absolute};
use crate::{mindshow, ppj, tencent, textin};

/// When a job is tried again whose trouble may pass.
const LATER: Duration = Duration::from_secs(30);

/// How many connections to a database a worker may hold.
const CONNECTIONS: u32 = 8;

/// Submits, looks at and fetches the jobs of every vendor that is set up, until told to stop.
pub(crate) async fn work(app: &App, args: WorkArgs) -> Result<(), Stop> {
    let app = &app.with_connections(CONNECTIONS);
    let ledger = app.ledger().await?;
    let out = match &args.out {
        Some(folder) => place::results_folder(folder)?,
        None => absolute(&PathBuf::from("."))?,
    };
    let settings = FleetConfig::default().with_capacity(args.jobs);
    let (fleet, ends) = Fleet::new(settings);
    let paces = Paces::default();
    let desks = desks(&app.with_paces(&paces), &fleet)?;
    let mut lessons = Vec::new();
    for desk in &desks {
        let lesson = paces.recall(&ledger, desk.vendor(), desk.account()).await;
        lessons.extend(lesson);
    }
    let mut names: Vec<&str> = desks.iter().map(|desk| desk.vendor()).collect();
    names.dedup();
    app.report.say(&format!(
        "worker {} takes up jobs of {}",
        ledger.worker(),
        names.join(", ")
    ));
    let hands = Hands {
        ledger,
        report: app.report.clone(),
        shutdown: app.shutdown.clone(),
    };
    let _attended = app.shutdown.attend();
    let later = LATER / app.scale()?;
    let shift = Shift::new(hands, fleet, desks, lessons, out, args.jobs, later);
    shift.run(ends, args.once).await
}

/// A desk for each kind of job of the vendors whose variables are set.
fn desks(app: &App, fleet: &Fleet<Bring>) -> Result<Vec<Arc<dyn Desk>>, Stop> {
    let mut desks = Vec::new();
    let is_set_up = |vendor, variables: &[&str]| {
        let env = app.env(vendor);
        variables.iter().any(|name| env.optional(name).is_some())
    };
    if is_set_up(textin::VENDOR, &["TEXTIN_APP_ID"]) {
        let client = textin::client(app)?;
        for format in [Format::Markdown, Format::Json] {
            let client = client.clone();
            desks.push(LineDesk::open(fleet, textin::ParseLine { client, format }));
        }
    }
    if is_set_up(ppj::VENDOR, &["PPJ_ACCESS_KEY", "PPJ_APP_ID"]) {
        let client = ppj::client(app)?;
        desks.push(LineDesk::open(fleet, ppj::ConvertLine { client }));
    }
    if is_set_up(mindshow::VENDOR, &["MINDSHOW_API_KEY"]) {
        let client = mindshow::client(app)?;
        desks.push(LineDesk::open(fleet, mindshow::DeckLine { client }));
    }
    if is_set_up(tencent::VENDOR, &["TENCENTCLOUD_SECRET_ID"]) {
        let client = tencent::client(app)?;
        for family in [Family::Current, Family::Legacy] {
            let kind = client.kind_of(family);
            let line = tencent::ConvertLine::of(client.clone(), jobs_core::JobKind::name(&*kind));
            desks.push(LineDesk::open(fleet, line));
        }
    }
    if desks.is_empty() {
        return Err(Stop::bad_input(
            "no vendor is set up, so there is nothing to work on; see the README for the variables",
        ));
    }
    Ok(desks)
}
