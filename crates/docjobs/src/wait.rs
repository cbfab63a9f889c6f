//! `docjobs wait`: go on with a ticket.

use jobs_core::{ForeignTicket, Job, JobKind, Ticket};
use std::sync::Arc;

use crate::app::App;
use crate::args::WaitArgs;
use crate::exit::Stop;
use crate::flow;
use crate::place::Place;
use crate::textin::{self, ParseLine};

pub(crate) async fn run(app: &App, args: WaitArgs) -> Result<(), Stop> {
    let ticket: Ticket = args
        .job
        .parse()
        .map_err(|problem| Stop::bad_input(format!("{:?}: {problem}", args.job)))?;
    match (ticket.vendor(), ticket.kind()) {
        ("textin", "parse") => {
            let client = textin::client(app)?;
            let job = resume(client.kind(), &ticket)?;
            let place = Place::new(args.output.as_deref())?;
            let deadline = app.deadline(&**client.clock());
            flow::finish(
                app,
                &ParseLine {
                    client,
                    format: args.format,
                },
                &job,
                &place,
                deadline,
            )
            .await
        }
        (vendor, kind) => Err(Stop::bad_input(format!(
            "the ticket is for a {vendor} {kind} job, which is not known here"
        ))),
    }
}

fn resume<K: JobKind>(kind: Arc<K>, ticket: &Ticket) -> Result<Job<K>, Stop> {
    Job::resume(kind, ticket).map_err(|problem| {
        let way_out = match problem {
            ForeignTicket::Account => "; set the variables of the account that submitted the job",
            _ => "",
        };
        Stop::bad_input(format!("{problem}{way_out}"))
    })
}
