//! `docjobs wait`: go on with a ticket.

use std::sync::Arc;

use jobs_core::{ForeignTicket, Job, Ticket};
use mindshow::PdfBudget;

use crate::app::App;
use crate::args::WaitArgs;
use crate::exit::Stop;
use crate::flow::{self, Line};
use crate::place::Place;
use crate::{mindshow as deck, ppj, tencent, textin};

pub(crate) async fn run(app: &App, args: WaitArgs) -> Result<(), Stop> {
    let ticket: Ticket = args
        .job
        .parse()
        .map_err(|problem| Stop::bad_input(format!("{:?}: {problem}", args.job)))?;
    let place = Place::new(args.output.as_deref())?;
    match (ticket.vendor(), ticket.kind()) {
        (textin::VENDOR, _) => {
            let line = textin::ParseLine {
                client: textin::client(app)?,
                format: args.format,
            };
            resume(app, &line, &ticket, &place).await
        }
        (ppj::VENDOR, _) => {
            resume(
                app,
                &ppj::ConvertLine {
                    client: ppj::client(app)?,
                },
                &ticket,
                &place,
            )
            .await
        }
        (deck::VENDOR, "pdf") => {
            let client = deck::client(app)?;
            let kind = client.pdf_kind(PdfBudget::calls(args.max_calls));
            resume(app, &deck::PdfLine { client, kind }, &ticket, &place).await
        }
        (deck::VENDOR, _) => {
            resume(
                app,
                &deck::DeckLine {
                    client: deck::client(app)?,
                },
                &ticket,
                &place,
            )
            .await
        }
        (tencent::VENDOR, _) => {
            let client = tencent::client(app)?;
            let kind = client
                .resume(&ticket)
                .map_err(|problem| foreign(&problem))?
                .kind()
                .clone();
            resume(app, &tencent::ConvertLine { client, kind }, &ticket, &place).await
        }
        (vendor, kind) => Err(Stop::bad_input(format!(
            "the ticket is for a {vendor} {kind} job, which is not known here"
        ))),
    }
}

async fn resume<L: Line>(app: &App, line: &L, ticket: &Ticket, place: &Place) -> Result<(), Stop> {
    let kind = line.kind();
    let deadline = jobs_core::JobKind::clock(&*kind).now() + app.options.deadline;
    let job = Job::resume(Arc::clone(&kind), ticket).map_err(|problem| foreign(&problem))?;
    flow::finish(app, line, &job, place, deadline).await
}

fn foreign(problem: &ForeignTicket) -> Stop {
    let way_out = match problem {
        ForeignTicket::Account => "; set the variables of the account that submitted the job",
        _ => "",
    };
    Stop::bad_input(format!("{problem}{way_out}"))
}
