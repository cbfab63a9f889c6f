//! Downloaded bytes against what the list promised.

use proptest::prelude::*;

use crate::integrity::{Expected, FileProblem, MAX_FILE_BYTES};
use crate::wire::{JobList, ListedJob, PageProblem};

use super::answer;

fn job(item: &str) -> ListedJob {
    let text = format!(r#"{{"errcode":0,"body":{{"printer_job_list":[{item}]}}}}"#);
    JobList::from_answer(&answer(&text)).unwrap().jobs.remove(0)
}

fn check(expected: &Expected, file: &[u8], chunk: usize) -> Result<(), FileProblem> {
    let mut offset = 0;
    for part in file.chunks(chunk) {
        expected.check_chunk(offset, part)?;
        offset += part.len() as u64;
    }
    expected.check_end(offset)
}

fn of(item: &str) -> Result<Expected, FileProblem> {
    Expected::of(&job(item), MAX_FILE_BYTES)
}

const JPG: &str = r#"{"jobid":"j","printer_format":"jpg","doc_size":1,
    "pic_file_list":{"size":9,"item":[{"idx":1,"pic_size":3},{"idx":0,"pic_size":4}]}}"#;

#[test]
fn whole_pdf_passes_in_chunks_of_any_size() {
    let expected = of(r#"{"jobid":"j","doc_size":9}"#).unwrap();
    assert_eq!(expected.bytes(), Some(9));
    for chunk in 1..=9 {
        assert_eq!(check(&expected, b"%PDF-1.7\n", chunk), Ok(()), "{chunk}");
    }
}

#[test]
fn wrong_start_is_found_in_chunks_of_any_size() {
    let expected = of(r#"{"jobid":"j","doc_size":9}"#).unwrap();
    for chunk in 1..=9 {
        assert_eq!(
            check(&expected, b"%PDX-1.7\n", chunk),
            Err(FileProblem::NotPdf),
            "{chunk}"
        );
    }
}

#[test]
fn short_and_long_files_are_refused() {
    let expected = of(r#"{"jobid":"j","doc_size":6}"#).unwrap();
    assert_eq!(
        check(&expected, b"%PDF-", 2),
        Err(FileProblem::Length {
            expected: 6,
            actual: 5
        })
    );
    assert!(matches!(
        check(&expected, b"%PDF-1.", 2),
        Err(FileProblem::Length { expected: 6, .. })
    ));
    assert_eq!(
        check(&expected, b"", 1),
        Err(FileProblem::Length {
            expected: 6,
            actual: 0
        })
    );
}

#[test]
fn announced_zero_bytes_are_a_failure_at_once() {
    assert_eq!(of(r#"{"jobid":"j","doc_size":0}"#), Err(FileProblem::Empty));
}

#[test]
fn too_large_files_are_refused_before_and_while_downloading() {
    let item = r#"{"jobid":"j","doc_size":20971521}"#;
    assert!(matches!(
        of(item),
        Err(FileProblem::Oversize {
            bytes: 20_971_521,
            ..
        })
    ));
    let unsized_job = Expected::of(&job(r#"{"jobid":"j"}"#), 6).unwrap();
    assert_eq!(unsized_job.bytes(), None);
    assert_eq!(check(&unsized_job, b"%PDF-1", 3), Ok(()));
    assert_eq!(
        check(&unsized_job, b"%PDF-1.", 7),
        Err(FileProblem::Oversize { bytes: 7, limit: 6 })
    );
}

#[test]
fn empty_answer_of_unknown_size_is_no_pdf() {
    let expected = of(r#"{"jobid":"j"}"#).unwrap();
    assert_eq!(check(&expected, b"", 1), Err(FileProblem::NotPdf));
    assert_eq!(check(&expected, b"%P", 1), Err(FileProblem::NotPdf));
}

#[test]
fn joined_pages_pass_and_their_places_are_known() {
    let expected = of(JPG).unwrap();
    assert_eq!(
        expected.bytes(),
        Some(7),
        "the pages' sizes count, not size or doc_size"
    );
    assert_eq!(expected.pages(), [0..4, 4..7]);
    let file = [0xff, 0xd8, 1, 2, 0xff, 0xd8, 3];
    for chunk in 1..=7 {
        assert_eq!(check(&expected, &file, chunk), Ok(()), "{chunk}");
    }
}

#[test]
fn page_that_does_not_start_as_jpeg_is_named() {
    let expected = of(JPG).unwrap();
    let file = [0xff, 0xd8, 1, 2, 0xff, 0xd9, 3];
    for chunk in 1..=7 {
        assert_eq!(
            check(&expected, &file, chunk),
            Err(FileProblem::NotJpeg { page: 1 }),
            "{chunk}"
        );
    }
}

#[test]
fn last_page_of_one_byte_is_no_jpeg() {
    let expected = of(
        r#"{"jobid":"j","printer_format":"jpg","pic_file_list":{"item":[{"idx":0,"pic_size":1}]}}"#,
    )
    .unwrap();
    assert_eq!(
        check(&expected, &[0xff], 1),
        Err(FileProblem::NotJpeg { page: 0 })
    );
}

#[test]
fn jpg_job_without_pages_is_refused() {
    assert_eq!(
        of(r#"{"jobid":"j","printer_format":"jpg","doc_size":5}"#),
        Err(FileProblem::Pages(PageProblem::NoPages))
    );
}

#[test]
fn unknown_format_is_checked_by_size_only() {
    let expected = of(r#"{"jobid":"j","printer_format":"ofd","doc_size":2}"#).unwrap();
    assert_eq!(check(&expected, b"PK", 1), Ok(()));
    assert!(check(&expected, b"P", 1).is_err());
}

proptest! {
    #[test]
    fn verdict_does_not_depend_on_the_chunks(
        file in prop::collection::vec(prop::sample::select(vec![0xff_u8, 0xd8, 0]), 0..12),
        chunk in 1_usize..12,
    ) {
        let expected = of(JPG).unwrap();
        prop_assert_eq!(check(&expected, &file, chunk).is_ok(), check(&expected, &file, 12).is_ok());
    }
}
