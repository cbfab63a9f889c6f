//! The `docjobs` command: document jobs that take minutes and cost money, without losing or repeating one.

mod accounts;
mod address;
mod app;
mod args;
mod batch;
mod budget;
mod budget_author;
mod clean;
mod demo;
mod doctor;
mod examples;
mod exit;
mod input;
mod input_args;
mod inputs;
mod job_log;
mod job_table;
mod jobs;
mod json_text;
mod ledger_commands;
mod logs;
mod manual;
mod mcp;
mod mindshow;
mod moment;
mod observer;
mod output;
mod place_key;
mod ppj;
mod printer;
mod rate;
mod report;
mod run;
mod serve;
mod signals;
mod sim;
mod tencent;
mod textin;
mod timeline;
mod vendor_lists;
mod vendor_options;
mod vendors;
mod webhook_address;
mod work;

use crate::app::App;
use crate::args::{Args, Command, MindshowCommand, PpjCommand, TencentEssCommand, TextinCommand};
use crate::exit::{CommandError, ExitCode};
use crate::report::Report;
use crate::signals::{Shutdown, Signal};

fn main() -> std::process::ExitCode {
    let args = Args::of_process();
    let report = Report::new(&args.common);
    logs::start(args.common.verbose);
    let shutdown = match Shutdown::listen() {
        Ok(shutdown) => shutdown,
        Err(stop) => return report.stop(&stop),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(problem) => {
            return report.stop(&CommandError::unexpected(format!(
                "cannot start: {problem}"
            )));
        }
    };
    let stopped = runtime.block_on(async {
        tokio::select! {
            biased;
            stopped = run(args, &report, &shutdown) => stopped,
            signal = shutdown.unattended() => Err(CommandError::asked_to_end(signal.exit(), "nothing was sent")),
        }
    });
    // A blocked read of a pipe or a slow disk must not keep a finished command from ending.
    runtime.shutdown_background();
    match stopped {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(mut stop) => {
            // The library says that it was interrupted; the signal says by what.
            if let (ExitCode::Interrupted, Some(signal)) = (stop.exit, shutdown.asked()) {
                stop.exit = signal.exit();
            }
            let code = report.stop(&stop);
            match Signal::of(stop.exit) {
                Some(signal) => signal.end_process(),
                None => code,
            }
        }
    }
}

async fn run(args: Args, report: &Report, shutdown: &Shutdown) -> Result<(), CommandError> {
    let app = App::of_process(args.common, report.clone(), shutdown.clone());
    app::refuse_odd_variables()?;
    match args.command {
        Command::Demo(args) => Box::pin(demo::run(&app, args)).await,
        Command::Sim(sim) => sim::run(&app, sim).await,
        Command::Textin(TextinCommand::Parse(parse)) => Box::pin(textin::parse(&app, parse)).await,
        Command::Ppj(PpjCommand::Convert(convert)) => ppj::convert(&app, convert).await,
        Command::Ppj(PpjCommand::List(list)) => vendor_lists::ppj_list(&app, list).await,
        Command::Ppj(PpjCommand::ProjectsLeft) => vendor_lists::ppj_quota(&app).await,
        Command::Mindshow(MindshowCommand::Deck(deck)) => {
            Box::pin(mindshow::deck(&app, deck)).await
        }
        Command::Mindshow(MindshowCommand::Pdf(pdf)) => mindshow::pdf(&app, pdf).await,
        Command::Mindshow(MindshowCommand::Account) => vendor_lists::mindshow_account(&app).await,
        Command::Mindshow(MindshowCommand::Templates(templates)) => {
            vendor_lists::mindshow_templates(&app, templates).await
        }
        Command::Mindshow(MindshowCommand::List(list)) => {
            vendor_lists::mindshow_list(&app, list).await
        }
        Command::TencentEss(TencentEssCommand::Convert(convert)) => {
            tencent::convert(&app, convert).await
        }
        Command::Printer(command) => printer::run(&app, command).await,
        Command::Jobs(args) => jobs::jobs(&app, args).await,
        Command::Show { id } => jobs::show(&app, &id).await,
        Command::Wait(args) => jobs::wait(&app, args).await,
        Command::Resume(args) => Box::pin(jobs::resume(&app, args)).await,
        Command::Resolve(args) => jobs::resolve(&app, args).await,
        Command::Work(args) => work::work(&app, args).await,
        Command::Mcp(args) => Box::pin(mcp::run(&app, args)).await,
        Command::Serve(args) => Box::pin(serve::serve(&app, args)).await,
        Command::Budget(args) => budget::run(&app, args).await,
        Command::Account(args) => accounts::run(&app, args).await,
        Command::Ledger(command) => ledger_commands::ledger(&app, command).await,
        Command::Doctor => doctor::run(&app).await,
        Command::Manual(args) => manual::run(&args),
    }
}
