//! Spellings of paths and variables, of which none may surprise.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use super::stand_in::{Ran, StandIn, Step, Vendor};

fn vendor() -> StandIn {
    StandIn::new(Vendor::TextIn, |_, _| None)
}

#[test]
fn an_empty_variable_is_no_variable() {
    let vendor = vendor();
    vendor
        .run_with(&vendor.purchase(), &[("DOCJOBS_LEDGER", "")])
        .ended(0, &[]);
    assert!(!vendor.path("ledger.db").exists());
}

#[test]
fn a_tilde_is_the_home() {
    let vendor = vendor();
    vendor
        .run_with(&vendor.purchase(), &[("DOCJOBS_LEDGER", "~/x.db")])
        .ended(0, &[]);
    assert!(vendor.path("x.db").exists() && !vendor.path("~").exists());
}

#[test]
fn a_scheme_that_is_none_of_ours_is_refused_with_nothing_made() {
    for ledger in [
        "file:x.db",
        "postgres//u:s3cret@h/d",
        "postgress://u:s3cret@h/d",
        "mysql://u:s3cret@h/d",
    ] {
        let vendor = vendor();
        let before = std::fs::read_dir(vendor.path("")).unwrap().count();
        let ran = vendor.run_with(&vendor.purchase(), &[("DOCJOBS_LEDGER", ledger)]);
        ran.ended(2, &[]);
        assert_eq!(
            std::fs::read_dir(vendor.path("")).unwrap().count(),
            before,
            "{ledger}"
        );
        assert!(
            vendor.asked().is_empty() && !ran.stderr.contains("s3cret"),
            "{ran:#?}"
        );
    }
}

#[test]
fn a_name_that_cannot_be_written_down_is_named_and_has_a_way_in() {
    let vendor = vendor();
    let name = OsStr::from_bytes(b"\xba\xcf.pdf");
    let path = vendor.path("").join(name);
    std::fs::copy(vendor.path("a.pdf"), &path).unwrap();
    let mut command = vendor.command(&["textin", "parse", "-o", "r"]);
    command.arg(name);
    Ran::of(command).ended(2, &["\\xBA\\xCF.pdf"]);
    assert!(vendor.asked().is_empty());
    let mut command = vendor.command(&["textin", "parse", "-", "--name", "a.pdf", "-o", "r"]);
    command.stdin(Stdio::from(std::fs::File::open(path).unwrap()));
    Ran::of(command).ended(0, &[]);
}

#[test]
fn a_dash_is_the_standard_streams() {
    let vendor = vendor();
    let mut command = vendor.command(&["textin", "parse", "-", "--name", "a.pdf", "-o", "-"]);
    command.stdin(Stdio::from(
        std::fs::File::open(vendor.path("a.pdf")).unwrap(),
    ));
    let ran = Ran::of(command);
    ran.ended(0, &[]);
    assert_eq!(ran.stdout.trim_end(), "# ok");
    assert!(!vendor.path("-").exists());
    assert_eq!(vendor.count(Step::Submit), 1);
}

#[test]
fn the_ticket_of_a_job_settles_the_row_that_lost_its_answer() {
    use std::sync::atomic::{AtomicBool, Ordering};
    // The first answer is lost on the way.
    let lost = AtomicBool::new(false);
    let vendor = StandIn::new(Vendor::TextIn, move |asked, _| {
        let loses = asked.step == Step::Submit && !lost.swap(true, Ordering::SeqCst);
        loses.then(|| b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec())
    });
    vendor.buy().ended(5, &[]);
    // Another ledger knows the ticket of the same job.
    let other = vendor.path("other.db");
    let ticket = vendor.run_with(
        &["textin", "parse", "a.pdf", "--no-wait"],
        &[("DOCJOBS_LEDGER", other.to_str().unwrap())],
    );
    let ticket = ticket.stdout.trim().to_owned();
    vendor.run(&["wait", &ticket, "-o", "w"]).ended(0, &[]);
    let again = vendor.buy();
    again.ended(0, &[]);
    assert_eq!(
        vendor.count(Step::Submit),
        2,
        "once for each ledger: {again:#?}"
    );
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let vendor = vendor();
    for line in [
        &["doctor", "--again"][..],
        &["sim", "--no-wait"],
        &["jobs", "--deadline", "5s"],
    ] {
        let ran = vendor.run(line);
        assert_eq!(ran.exit, Some(2), "{line:?}: {ran:#?}");
    }
}
