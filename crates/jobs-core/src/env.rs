//! Settings from environment variables, with errors that name the variable.

use std::fmt;

use crate::error::Error;
use crate::secret::Secret;

/// A place to look up variables: the process's environment, or a closure in tests.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    pub(crate) vendor: &'static str,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Env<'a> {
    /// Looks variables up with `lookup`; errors name `vendor`.
    pub fn new(vendor: &'static str, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { vendor, lookup }
    }

    /// The environment of this process.
    pub fn of_process(vendor: &'static str) -> Env<'static> {
        Env {
            vendor,
            lookup: &|name| std::env::var(name).ok(),
        }
    }

    /// The variable, unless it is missing or empty.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// The variable.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) that names it, when it is missing or empty.
    pub fn required(&self, name: &str) -> Result<String, Error> {
        self.optional(name).ok_or_else(|| {
            Error::invalid_input(
                self.vendor,
                "configure",
                format!("the variable {name} is not set"),
            )
            .with_help(format!("set {name}"))
        })
    }

    /// The variable as a credential.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) that names it, when it is missing or cannot be a credential.
    pub fn secret(&self, name: &str) -> Result<Secret, Error> {
        let value = self.required(name)?;
        Secret::new(value).map_err(|problem| {
            Error::invalid_input(
                self.vendor,
                "configure",
                format!("the variable {name} {problem}"),
            )
            .with_help(format!("copy the value of {name} again"))
        })
    }
}

impl fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("vendor", &self.vendor)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_variable_and_never_its_value() {
        let lookup = |name: &str| match name {
            "BLANK" => Some(" s3cret ".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let env = Env::new("acme", &lookup);
        for (name, line) in [
            (
                "MISSING",
                "acme configure: bad input: the variable MISSING is not set; set MISSING",
            ),
            (
                "EMPTY",
                "acme configure: bad input: the variable EMPTY is not set; set EMPTY",
            ),
            (
                "BLANK",
                "acme configure: bad input: the variable BLANK begins or ends with a blank; copy the value of BLANK again",
            ),
        ] {
            assert_eq!(env.secret(name).unwrap_err().to_string(), line);
        }
    }
}
