//! The first command that anybody runs.

use crate::stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_needs_no_account_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for expected in ["docjobs-demo", "docjobs-demo-2"] {
        let ran = stage::run(folder.path(), &["demo"], &[]).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        let folder = folder.path().join(expected);
        for name in ["report.pptx", "report.pdf", "report.zip", "report.md"] {
            assert!(
                std::fs::metadata(folder.join(name)).unwrap().len() > 0,
                "{name}"
            );
        }
        let markdown = std::fs::read_to_string(folder.join("report.md")).unwrap();
        assert!(
            markdown.contains("It was made from this outline"),
            "{markdown}"
        );
        assert_eq!(ran.stdout.lines().count(), 6, "{}", ran.stdout);
    }
}
