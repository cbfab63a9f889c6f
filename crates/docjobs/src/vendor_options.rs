//! The documented options of each vendor on its command, made from the list that the vendor's crate has.

use std::marker::PhantomData;
use std::sync::LazyLock;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use jobs_runner::{OptionKind, OptionSpec};
use serde_json::{Map, Value};

/// A vendor's options, and what the command line calls them.
pub(crate) trait Vendor {
    fn flags() -> &'static [Flag];
}

/// One option.
#[derive(Debug)]
pub(crate) struct Flag {
    spec: OptionSpec,
    long: String,
    alias: Option<String>,
}

/// Shorter words than the vendor's for what is typed often.
const SHORT: &[(&str, &str)] = &[
    ("template_id", "template"),
    ("use_img_mode", "image-mode"),
    ("resource_id_list", "resource-id"),
    ("qa_list", "qa"),
];

impl Flag {
    fn of(spec: &OptionSpec) -> Self {
        let usual = spec.name.replace('_', "-");
        let short = SHORT.iter().find(|(name, _)| *name == spec.name);
        let (long, alias) = match short {
            Some((_, short)) => ((*short).to_owned(), Some(usual)),
            None => (usual, None),
        };
        Self {
            spec: *spec,
            long,
            alias,
        }
    }

    fn arg(&'static self) -> Arg {
        let arg = Arg::new(self.spec.name)
            .long(self.long.as_str())
            .help(self.spec.help)
            .help_heading("Options of the vendor");
        let arg = match &self.alias {
            Some(alias) => arg.alias(alias.as_str()),
            None => arg,
        };
        match self.spec.kind {
            OptionKind::Switch => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser(clap::value_parser!(bool))
                .value_name("true|false"),
            OptionKind::Integer => arg
                .value_parser(clap::value_parser!(i64))
                .allow_negative_numbers(true)
                .value_name("N"),
            OptionKind::Word(words) => arg
                .value_parser(PossibleValuesParser::new(words.iter().copied()))
                .value_name("WORD"),
            OptionKind::TextList => arg.action(ArgAction::Append).value_name("TEXT"),
            OptionKind::Json => arg.value_parser(json).value_name("JSON"),
            _ => arg.value_name("TEXT"),
        }
    }

    fn value(&self, matches: &ArgMatches) -> Option<Value> {
        let name = self.spec.name;
        match self.spec.kind {
            OptionKind::Switch => matches.get_one::<bool>(name).map(|value| (*value).into()),
            OptionKind::Integer => matches.get_one::<i64>(name).map(|value| (*value).into()),
            OptionKind::Json => matches.get_one::<Value>(name).cloned(),
            OptionKind::TextList => {
                let texts = matches.get_many::<String>(name)?;
                Some(texts.cloned().map(Value::from).collect())
            }
            _ => matches
                .get_one::<String>(name)
                .map(|value| value.as_str().into()),
        }
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|problem| format!("this is not JSON: {problem}"))
}

/// What was typed for a vendor's options.
#[derive(Debug, Clone)]
pub(crate) struct VendorOptions<V>(Map<String, Value>, PhantomData<V>);

impl<V> VendorOptions<V> {
    /// As the vendor's crate takes them: a JSON object of those that are set, by their names.
    pub(crate) fn to_json(&self) -> Value {
        self.to_map().into()
    }

    /// The same, to be added to.
    pub(crate) fn to_map(&self) -> Map<String, Value> {
        self.0.clone()
    }
}

impl<V> Default for VendorOptions<V> {
    fn default() -> Self {
        Self(Map::new(), PhantomData)
    }
}

impl<V: Vendor> clap::FromArgMatches for VendorOptions<V> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let set = V::flags().iter().filter_map(|flag| {
            let value = flag.value(matches)?;
            Some((flag.spec.name.to_owned(), value))
        });
        Ok(Self(set.collect(), PhantomData))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<V: Vendor> clap::Args for VendorOptions<V> {
    fn augment_args(command: Command) -> Command {
        command.args(V::flags().iter().map(Flag::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

macro_rules! vendors {
    ($($(#[$doc:meta])* $vendor:ident = $options:path;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $vendor;

            impl Vendor for $vendor {
                fn flags() -> &'static [Flag] {
                    static FLAGS: LazyLock<Vec<Flag>> =
                        LazyLock::new(|| $options().iter().map(Flag::of).collect());
                    &FLAGS
                }
            }
        )*
    };
}

vendors! {
    /// `docjobs textin parse`
    Parse = textin::options;
    /// `docjobs mindshow deck`
    Deck = mindshow::options;
    /// `docjobs tencent-ess convert`
    Convert = tencent_ess::options;
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use serde_json::json;

    use super::*;

    fn typed<V: Vendor>(line: &str) -> Result<Value, clap::Error> {
        let command = VendorOptions::<V>::augment_args(Command::new("x").no_binary_name(true));
        let matches = command.try_get_matches_from(line.split_whitespace())?;
        Ok(VendorOptions::<V>::from_arg_matches(&matches)?.to_json())
    }

    #[test]
    fn every_option_of_every_vendor_can_be_typed() {
        let value = |kind| match kind {
            OptionKind::Switch => "=false".to_owned(),
            OptionKind::Integer => " 1".to_owned(),
            OptionKind::Word(words) => format!(" {}", words.first().unwrap()),
            OptionKind::Json => " [1]".to_owned(),
            _ => " x".to_owned(),
        };
        fn all<V: Vendor>(value: impl Fn(OptionKind) -> String) {
            for flag in V::flags() {
                let line = format!("--{}{}", flag.long, value(flag.spec.kind));
                let typed = typed::<V>(&line).unwrap();
                let set = typed
                    .get(flag.spec.name)
                    .unwrap_or_else(|| panic!("{line}"));
                assert!(flag.spec.check(set).is_ok(), "{line}: {set}");
            }
        }
        all::<Parse>(value);
        all::<Deck>(value);
        all::<Convert>(value);
    }

    #[test]
    fn a_switch_needs_no_value_and_a_word_is_one_of_the_vendors() {
        assert_eq!(
            typed::<Parse>("--include-char-details --include-hierarchy=false --table-view html")
                .unwrap(),
            json!({ "include_char_details": true, "include_hierarchy": false, "table_view": "html" })
        );
        assert!(typed::<Parse>("--table-view pdf").is_err());
        assert_eq!(
            typed::<Deck>("--template t1 --resource-id a --resource-id b").unwrap(),
            json!({ "template_id": "t1", "resource_id_list": ["a", "b"] })
        );
    }
}
