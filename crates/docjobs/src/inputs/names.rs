//! Under which names the results of a batch go: like their inputs, and never two under one.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The two names that a result may have, below the folder for results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResultName {
    /// The extension of the input is replaced.
    pub(crate) short: PathBuf,
    /// The extension of the input is kept, for where the short one is not alone.
    pub(crate) long: PathBuf,
}

impl ResultName {
    /// For an input that is called so.
    pub(crate) fn of(name: &Path, extension: &str) -> Self {
        let mut long = name.as_os_str().to_owned();
        long.push(".");
        long.push(extension);
        Self {
            short: name.with_extension(extension),
            long: long.into(),
        }
    }

    /// For an input whose name has no extension to replace, whatever it looks like.
    pub(crate) fn appended(name: &Path, extension: &str) -> Self {
        let long = Self::of(name, extension).long;
        Self {
            short: long.clone(),
            long,
        }
    }
}

/// Two inputs whose results would meet under one name, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meeting {
    pub(crate) name: PathBuf,
    pub(crate) inputs: [usize; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// A place that the ledger remembers; it is kept.
    Remembered,
    Short,
    Long,
}

/// A name for each: the place that its job remembers, where that is one of its two; else the short one where nothing else
/// would have it, else the long one.
pub(crate) fn choose(
    names: &[ResultName],
    remembered: impl Fn(usize) -> Option<PathBuf>,
) -> Result<Vec<PathBuf>, Meeting> {
    let mut chosen: Vec<(Choice, PathBuf)> = names
        .iter()
        .enumerate()
        .map(|(at, name)| match remembered(at) {
            Some(place) if place == name.short || place == name.long => (Choice::Remembered, place),
            _ => (Choice::Short, name.short.clone()),
        })
        .collect();
    loop {
        let met = meetings(&chosen);
        let mut is_settled = true;
        for at in met.iter().flatten() {
            if let (Some((choice, place)), Some(name)) = (chosen.get_mut(*at), names.get(*at))
                && *choice == Choice::Short
            {
                *choice = Choice::Long;
                is_settled &= *place == name.long;
                place.clone_from(&name.long);
            }
        }
        if !is_settled {
            continue;
        }
        return match met.first() {
            Some(inputs) => Err(Meeting {
                name: chosen
                    .get(inputs[0])
                    .map(|(_, place)| place.clone())
                    .unwrap_or_default(),
                inputs: *inputs,
            }),
            None => Ok(chosen.into_iter().map(|(_, place)| place).collect()),
        };
    }
}

/// Pairs that cannot stand beside each other: one name twice, or a file where another needs a folder.
fn meetings(chosen: &[(Choice, PathBuf)]) -> Vec<[usize; 2]> {
    let mut first: HashMap<&Path, usize> = HashMap::with_capacity(chosen.len());
    let mut met = Vec::new();
    for (at, (_, place)) in chosen.iter().enumerate() {
        if let Some(before) = first.insert(place, at) {
            met.push([before, at]);
        }
    }
    let mut known: HashSet<&Path> = HashSet::new();
    for (at, (_, place)) in chosen.iter().enumerate() {
        for folder in place.ancestors().skip(1) {
            match first.get(folder) {
                Some(file) => met.push([*file, at]),
                // Its own folders were looked at before.
                None if !known.insert(folder) => break,
                None => {}
            }
        }
    }
    met
}

/// A plain file name for an id at a vendor, another one for each: what could lead elsewhere or hide the file is written as
/// in addresses.
pub(crate) fn name_of_id(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for (at, character) in id.char_indices() {
        let is_special = matches!(character, '/' | '\\' | '%') || character.is_control();
        if is_special || (at == 0 && character == '.') {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                name.push_str(&format!("%{byte:02X}"));
            }
        } else {
            name.push(character);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(inputs: &[&str]) -> Vec<ResultName> {
        let of = |input: &&str| ResultName::of(Path::new(input), "md");
        inputs.iter().map(of).collect()
    }

    fn chosen(inputs: &[&str]) -> Vec<String> {
        let chosen = choose(&names(inputs), |_| None).unwrap();
        chosen
            .iter()
            .map(|name| name.display().to_string())
            .collect()
    }

    #[test]
    fn a_result_is_named_like_its_input() {
        assert_eq!(
            chosen(&["a/b.pdf", "c.tar.pdf", "d", "合同.docx"]),
            ["a/b.md", "c.tar.md", "d.md", "合同.md"]
        );
    }

    #[test]
    fn where_two_would_meet_all_of_them_keep_their_extension() {
        assert_eq!(
            chosen(&["b.pdf", "b.docx", "b.txt", "c.pdf"]),
            ["b.pdf.md", "b.docx.md", "b.txt.md", "c.md"]
        );
    }

    #[test]
    fn a_long_name_that_meets_a_short_one_makes_that_one_long_too() {
        assert_eq!(
            chosen(&["b.pdf", "b.docx", "b.pdf.txt"]),
            ["b.pdf.md", "b.docx.md", "b.pdf.txt.md"]
        );
    }

    #[test]
    fn a_result_never_stands_where_another_needs_a_folder() {
        assert_eq!(
            chosen(&["a.pdf", "a.md/b.pdf"]),
            ["a.pdf.md", "a.md/b.pdf.md"]
        );
        let names = names(&["a", "a.md/b.pdf"]);
        assert_eq!(choose(&names, |_| None).unwrap_err().inputs, [0, 1]);
    }

    #[test]
    fn two_that_still_meet_are_named() {
        let meeting = choose(&names(&["a.pdf", "b.pdf", "b.pdf"]), |_| None).unwrap_err();
        assert_eq!(
            (meeting.name.as_path(), meeting.inputs),
            (Path::new("b.pdf.md"), [1, 2])
        );
    }

    #[test]
    fn a_job_keeps_its_place_and_only_newcomers_get_the_long_name() {
        let names = names(&["b.pdf", "b.docx"]);
        let place = |at| (at == 0).then(|| PathBuf::from("b.md"));
        assert_eq!(
            choose(&names, place).unwrap(),
            [Path::new("b.md"), Path::new("b.docx.md")]
        );
        // Also when what it once met is gone.
        let place = |_| Some(PathBuf::from("b.pdf.md"));
        assert_eq!(choose(&names[..1], place).unwrap(), [Path::new("b.pdf.md")]);
        // A place that is none of its own is another command's.
        let place = |_| Some(PathBuf::from("elsewhere.md"));
        assert_eq!(choose(&names[..1], place).unwrap(), [Path::new("b.md")]);
    }

    #[test]
    fn an_id_is_a_plain_name_and_another_one_for_each() {
        for (id, name) in [
            ("deck.7", "deck.7"),
            ("../evil", "%2E.%2Fevil"),
            ("..%2Fevil", "%2E.%252Fevil"),
            ("/tmp/x", "%2Ftmp%2Fx"),
            ("a\\b", "a%5Cb"),
            (".hidden", "%2Ehidden"),
            ("nul\0\u{85}", "nul%00%C2%85"),
            ("合同", "合同"),
        ] {
            assert_eq!(name_of_id(id), name);
        }
    }

    #[test]
    fn an_id_is_no_extension() {
        let name = ResultName::appended(Path::new("deck.7"), "pdf");
        assert_eq!(name.short, Path::new("deck.7.pdf"));
        assert_eq!(name.long, name.short);
    }

    proptest! {
        #[test]
        fn no_two_results_ever_share_a_place(
            inputs in proptest::collection::btree_set(r"([ab](\.md)?/){0,2}[ab](\.(md|pdf|txt)){0,2}", 1..12),
            remembered in any::<u16>(),
        ) {
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            let names = names(&inputs);
            let place = |at: usize| match remembered >> at & 1 {
                1 if at.is_multiple_of(3) => Some(names[at].short.clone()),
                1 => Some(names[at].long.clone()),
                _ => None,
            };
            match choose(&names, place) {
                Ok(places) => {
                    for (at, one) in places.iter().enumerate() {
                        prop_assert!(*one == names[at].short || *one == names[at].long);
                        for other in &places[at + 1..] {
                            prop_assert!(!one.starts_with(other) && !other.starts_with(one), "{:?} {:?}", one, other);
                        }
                    }
                }
                Err(Meeting { inputs: [one, other], .. }) => prop_assert_ne!(one, other),
            }
        }

        #[test]
        fn files_of_one_folder_always_find_names(
            inputs in proptest::collection::btree_set(r"[ab]\.(pdf|txt|docx|pdf\.txt)", 1..10)
        ) {
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            prop_assert!(choose(&names(&inputs), |_| None).is_ok());
        }
    }
}
