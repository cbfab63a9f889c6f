//! `docjobs tencent-ess convert` against the simulator.

use vendor_sim::fault::Fault;
use vendor_sim::tencent::TaskOutcome;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_a_resource_id_on_stdout() {
    let stage = Stage::new().await;
    stage.input("contract.html", "<html><body>Clause 1</body></html>");
    for api in ["current", "legacy"] {
        let ran = stage
            .run_with(
                &["tencent-ess", "convert", "contract.html"],
                &[("TENCENT_ESS_API", api)],
            )
            .await;
        assert_eq!(
            (ran.exit, ran.stdout.lines().count()),
            (0, 1),
            "{api}: {}",
            ran.stderr
        );
        let pdf = stage.simulators.tencent().pdf(ran.stdout.trim()).unwrap();
        assert!(pdf.starts_with(b"%PDF-"), "{api}");
    }
    assert_eq!(stage.simulators.tencent().tasks().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_is_exit_5_and_not_repeated() {
    let stage = Stage::new().await;
    stage.input("contract.html", "<html>x</html>");
    stage
        .simulators
        .tencent()
        .set_fault("create", Fault::DropAfterCommit { reset: false });
    for _ in 0..2 {
        let ran = stage
            .run(&["tencent-ess", "convert", "contract.html"])
            .await;
        assert_eq!(ran.exit, 5, "{}", ran.stderr);
    }
    assert_eq!(stage.simulators.tencent().tasks().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retired_pair_names_the_setting_that_helps() {
    let stage = Stage::new().await;
    stage.input("contract.html", "<html>x</html>");
    stage
        .simulators
        .tencent()
        .change_options(|options| options.legacy_retired = true);
    let ran = stage
        .run_with(
            &["tencent-ess", "convert", "contract.html"],
            &[("TENCENT_ESS_API", "legacy")],
        )
        .await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("TENCENT_ESS_API"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_refusals_have_their_exit_codes() {
    let stage = Stage::new().await;
    stage.input("contract.html", "<html>x</html>");
    stage
        .simulators
        .tencent()
        .next_outcome(TaskOutcome::ProcessFailed);
    let ran = stage
        .run(&["tencent-ess", "convert", "contract.html"])
        .await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    // The failed job is attached to without a word to the vendor; another one needs credentials.
    let again = ["tencent-ess", "convert", "contract.html", "--again"];
    let wrong = [("TENCENTCLOUD_SECRET_KEY", "wrong")];
    let ran = stage.run_with(&again[..3], &wrong).await;
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    let ran = stage.run_with(&again, &wrong).await;
    assert_eq!(ran.exit, 6, "{}", ran.stderr);
    stage.input("movie.mp4", "x");
    let ran = stage.run(&["tencent-ess", "convert", "movie.mp4"]).await;
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
}
