//! A signal ends every command with what is needed to go on, and the process dies by it.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock;

use super::stand_in::{JOB, Ran, StandIn, Step, Vendor, json};

/// Runs the line, and sends the signal once the step was asked for.
fn signalled(vendor: &StandIn, line: &[&str], at: Step, signal: Signal) -> Ran {
    let mut command = vendor.command(line);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let id = Pid::from_raw(child.id().try_into().unwrap());
    clock::until(|| vendor.count(at) > 0);
    clock::hold(Duration::from_millis(50));
    kill(id, signal).unwrap();
    Ran::from(child.wait_with_output().unwrap())
}

fn waiting() -> StandIn {
    let poll = format!(r#"{{"code":200,"data":{{"job_id":"{JOB}","status":"in_progress"}}}}"#);
    StandIn::saying(Vendor::TextIn, Step::Poll, json(poll))
}

const LONG: [&str; 7] = ["textin", "parse", "a.pdf", "-o", "r", "--deadline", "30m"];

#[test]
fn each_signal_ends_a_wait_with_its_ticket() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let vendor = waiting();
        let ran = signalled(&vendor, &LONG, Step::Poll, signal);
        assert_eq!(ran.signal, Some(signal as i32), "{ran:#?}");
        assert!(ran.ticket().is_some(), "{ran:#?}");
    }
}

#[test]
fn a_signal_during_a_submit_says_that_it_may_have_been_charged() {
    let stops = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stops);
    let vendor = StandIn::new(Vendor::TextIn, move |asked, _| {
        clock::until(|| asked.step != Step::Submit || stopped.load(Ordering::SeqCst));
        None
    });
    let ran = signalled(&vendor, &LONG, Step::Submit, Signal::SIGTERM);
    stops.store(true, Ordering::SeqCst);
    assert_eq!(ran.signal, Some(Signal::SIGTERM as i32), "{ran:#?}");
    assert!(ran.stderr.contains("may have been charged"), "{ran:#?}");
    vendor.run(&LONG).ended(5, &[]);
    assert_eq!(vendor.count(Step::Submit), 1);
}

#[test]
fn a_worker_ends_by_the_signal_and_gives_its_jobs_back() {
    let vendor = waiting();
    vendor
        .run(&["textin", "parse", "a.pdf", "--no-wait"])
        .ended(0, &[]);
    let before = vendor.count(Step::Poll);
    assert_eq!(before, 0);
    let ran = signalled(
        &vendor,
        &["work", "--out", "new"],
        Step::Poll,
        Signal::SIGHUP,
    );
    assert_eq!(ran.signal, Some(Signal::SIGHUP as i32), "{ran:#?}");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let vendor = waiting();
    let program = crate::docjobs();
    let line = format!(
        "trap '' HUP; exec {} textin parse a.pdf -o r --deadline 60s",
        program.display()
    );
    let mut shell = vendor.command(&[]);
    let variables: Vec<_> = shell
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    shell = std::process::Command::new("sh");
    shell
        .args(["-c", &line])
        .env_clear()
        .envs(variables)
        .current_dir(vendor.path(""));
    shell
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = shell.spawn().unwrap();
    let id = Pid::from_raw(child.id().try_into().unwrap());
    clock::until(|| vendor.count(Step::Poll) > 0);
    kill(id, Signal::SIGHUP).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.ended(4, &[]);
    assert!(ran.ticket().is_some(), "{ran:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_first_process_of_a_container_exits_with_the_number_that_shells_report() {
    let vendor = waiting();
    let inner = vendor.command(&LONG);
    let mut outer = std::process::Command::new("unshare");
    outer
        .args(["--user", "--map-root-user", "--pid", "--fork"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(vendor.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut child) = outer.spawn() else {
        println!("skipped: no unshare here");
        return;
    };
    clock::until(|| vendor.count(Step::Poll) > 0 || child.try_wait().unwrap().is_some());
    if vendor.count(Step::Poll) == 0 {
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert!(ran.stderr.contains("unshare"), "{ran:#?}");
        println!("skipped: no namespaces here: {}", ran.stderr);
        return;
    }
    let id = child.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let first = Pid::from_raw(children.trim().parse().unwrap());
    kill(first, Signal::SIGTERM).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.ended(128 + Signal::SIGTERM as i32, &[]);
    assert!(ran.ticket().is_some(), "{ran:#?}");
}
