//! Which of the vendor's two products is used, and who acts in it.

use jobs_core::Error;
use jobs_core::vendor::Account;

use crate::code::VENDOR;
use crate::generated::types as wire;

/// A product of the vendor, with the identity that it asks for. The two have types of the same names and other fields.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Product {
    /// The third-party platform edition, `essbasic`.
    Essbasic {
        /// Who acts.
        agent: Agent,
    },
    /// The company edition, `ess`.
    Ess {
        /// Who acts.
        operator: Operator,
    },
}

/// Who acts in the third-party platform edition. Company and employee must have passed the vendor's identity check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    app_id: String,
    organization_open_id: String,
    operator_open_id: String,
}

impl Agent {
    /// The application, and the platform's own ids of the company and of its employee.
    pub fn new(
        app_id: impl Into<String>,
        organization_open_id: impl Into<String>,
        operator_open_id: impl Into<String>,
    ) -> Self {
        Self {
            app_id: app_id.into(),
            organization_open_id: organization_open_id.into(),
            operator_open_id: operator_open_id.into(),
        }
    }

    pub(crate) fn wire(&self) -> wire::Agent {
        wire::Agent::new(
            self.app_id.clone(),
            self.organization_open_id.clone(),
            wire::AgentOperator::new(self.operator_open_id.clone()),
        )
    }
}

/// Who acts in the company edition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    user_id: String,
    organization_id: Option<String>,
}

impl Operator {
    /// The employee, by the vendor's user id.
    pub fn new(user_id: impl Into<String>) -> Self {
        Self {
            user_id: user_id.into(),
            organization_id: None,
        }
    }

    /// Acts for this subsidiary of a group company.
    #[must_use]
    pub fn with_organization_id(mut self, id: impl Into<String>) -> Self {
        self.organization_id = Some(id.into());
        self
    }

    pub(crate) fn wire(&self) -> wire::CompanyOperator {
        wire::CompanyOperator::new(self.user_id.clone())
    }

    pub(crate) fn wire_caller(&self) -> wire::CompanyCaller {
        wire::CompanyCaller::new(self.user_id.clone())
    }

    pub(crate) fn wire_agent(&self) -> Option<wire::CompanyAgent> {
        self.organization_id.clone().map(wire::CompanyAgent::new)
    }
}

impl From<Agent> for Product {
    fn from(agent: Agent) -> Self {
        Self::Essbasic { agent }
    }
}

impl From<Operator> for Product {
    fn from(operator: Operator) -> Self {
        Self::Ess { operator }
    }
}

impl Product {
    /// The name that is signed and that begins the host.
    pub(crate) fn service(&self) -> &'static str {
        match self {
            Self::Essbasic { .. } => "essbasic",
            Self::Ess { .. } => "ess",
        }
    }

    /// The version of the interface.
    pub(crate) fn version(&self) -> &'static str {
        match self {
            Self::Essbasic { .. } => "2021-05-26",
            Self::Ess { .. } => "2020-11-11",
        }
    }

    /// Whose jobs these are. The vendor keeps applications and companies apart, and a temporary key is another one every
    /// day, so the key is no part of it.
    pub(crate) fn account(&self) -> Account {
        let identity = match self {
            Self::Essbasic { agent } => {
                [self.service(), &agent.app_id, &agent.organization_open_id]
            }
            Self::Ess { operator } => [
                self.service(),
                &operator.user_id,
                operator.organization_id.as_deref().unwrap_or_default(),
            ],
        };
        Account::of(VENDOR, &identity.join("\0"))
    }

    /// Names the first id that cannot be one. `advice` for each says where it comes from.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let ids: &[(&str, &str, &str)] = match self {
            Self::Essbasic { agent } => &[
                ("application id", &agent.app_id, "TENCENT_ESS_APP_ID"),
                (
                    "open id of the company",
                    &agent.organization_open_id,
                    "TENCENT_ESS_ORG_OPEN_ID",
                ),
                (
                    "open id of the employee",
                    &agent.operator_open_id,
                    "TENCENT_ESS_OPERATOR_OPEN_ID",
                ),
            ],
            Self::Ess { operator } => &[
                ("user id", &operator.user_id, "the operator"),
                (
                    "id of the subsidiary",
                    operator.organization_id.as_deref().unwrap_or("none"),
                    "the operator",
                ),
            ],
        };
        for (name, id, place) in ids {
            let problem = if id.trim().is_empty() {
                "is empty"
            } else if id.trim() != *id {
                "begins or ends with a blank"
            } else if id.chars().count() > LONGEST {
                "has more than 64 characters"
            } else {
                continue;
            };
            return Err(
                Error::invalid_input(VENDOR, "configure", format!("the {name} {problem}"))
                    .with_help(format!("check {place}")),
            );
        }
        Ok(())
    }
}

/// The longest id that the vendor allows, in characters.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_cannot_be_one_is_named() {
        let platform = |app: &str, org: &str, open: &str| {
            Product::from(Agent::new(app, org, open))
                .check()
                .map_err(|error| error.to_string())
        };
        assert_eq!(platform("app", "org", "open"), Ok(()));
        assert_eq!(
            platform("app", " org", "open"),
            Err("tencent-ess configure: bad input: the open id of the company begins or ends with a blank; check TENCENT_ESS_ORG_OPEN_ID".to_owned())
        );
        assert!(platform("", "org", "open").is_err());
        assert!(platform("app", "org", &"x".repeat(65)).is_err());
        assert!(Product::from(Operator::new("u")).check().is_ok());
        assert!(Product::from(Operator::new("u ")).check().is_err());
    }

    #[test]
    fn an_account_is_an_application_and_a_company() {
        let account = |app, org, open| Product::from(Agent::new(app, org, open)).account();
        assert_eq!(account("a", "o", "1"), account("a", "o", "2"));
        assert_ne!(account("a", "o", "1"), account("a", "p", "1"));
        assert_ne!(account("a", "o", "1"), account("b", "o", "1"));
        assert_ne!(account("ao", "", "1"), account("a", "o", "1"));
    }
}
