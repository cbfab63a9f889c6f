//! Decisions about jobs: a person makes them, unless the evidence leaves one way only or the command line allows it.

use jobs_core::JobId;
use jobs_ledger::{JobRecord, LedgerId, Stage};
use jobs_runner::Resolution;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ElicitRequest, ElicitRequestParams, ElicitResult,
    ElicitationAction, ElicitationSchema, InputRequest, InputRequests, InputRequiredResult,
};
use sha2::{Digest, Sha256};

use super::answer::ToolError;
use super::arguments::{Decision, ResolveJob};
use super::server::{Call, McpServer, Shared, actor, is_inline};
use crate::exit::ExitCode;

/// The name of the question, and of the field that answers it.
const QUESTION: &str = "confirm";

/// Whether a decision may be acted upon.
enum Permission {
    Given,
    /// The client has to ask, and to call again.
    ToAsk(Box<InputRequiredResult>),
}

impl McpServer {
    pub(crate) async fn resolve(
        &self,
        asked: ResolveJob,
        request: &CallToolRequestParams,
        call: &Call,
    ) -> Result<CallToolResponse, ToolError> {
        let decision = asked.decision().map_err(ToolError::invalid)?;
        let record = self.shared.find(&asked.id).await?;
        self.shared.check(&record, &decision)?;
        if !self.shared.is_evident(&record, &decision).await
            && let Permission::ToAsk(question) =
                self.permission(&record, &decision, request, call).await?
        {
            return Ok((*question).into());
        }
        let record = self
            .shared
            .decide(record.id, &decision, actor(call))
            .await?;
        Ok(self.job_result(&record, None, false).await?.into())
    }

    /// Asks the user, in the way of the client's revision.
    async fn permission(
        &self,
        record: &JobRecord,
        decision: &Decision,
        request: &CallToolRequestParams,
        call: &Call,
    ) -> Result<Permission, ToolError> {
        if self.shared.access.allow_resolve {
            return Ok(Permission::Given);
        }
        let can_ask = call
            .client_capabilities()
            .is_some_and(|offered| offered.elicitation.is_some());
        if !can_ask {
            return Err(refused(
                record,
                "this client cannot ask the user, and the server was not started with --allow-resolve",
            ));
        }
        let question = question(record, decision)?;
        if !is_inline(call) {
            let answer = call.peer.create_elicitation(question).await;
            let answer = answer.map_err(|problem| {
                refused(record, &format!("the user could not be asked ({problem})"))
            })?;
            return confirmed(record, &answer);
        }
        let state = state_of(record, decision);
        let answer = request
            .input_responses
            .as_ref()
            .and_then(|answers| answers.get(QUESTION));
        match answer {
            Some(answer) if request.request_state.as_deref() == Some(&*state) => {
                match serde_json::from_value::<ElicitResult>(answer.clone()) {
                    Ok(answer) => confirmed(record, &answer),
                    Err(problem) => Err(refused(
                        record,
                        &format!("the user's answer is not understood ({problem})"),
                    )),
                }
            }
            _ => {
                let request = InputRequest::Elicitation(ElicitRequest::new(question));
                let requests = InputRequests::from([(QUESTION.to_owned(), request)]);
                let question = InputRequiredResult::new(Some(requests), Some(state));
                Ok(Permission::ToAsk(Box::new(question)))
            }
        }
    }
}

impl Shared {
    /// Whether there is anything to decide.
    fn check(&self, record: &JobRecord, decision: &Decision) -> Result<(), ToolError> {
        let is_open = match decision {
            Decision::Adopt(_) => record.stage == Stage::InDoubt,
            Decision::Abandon => !record.stage.is_settled(),
        };
        if is_open {
            return Ok(());
        }
        Err(ToolError::invalid(format!(
            "job {} is {}: there is nothing to resolve",
            record.id, record.stage
        )))
    }

    /// Whether the evidence leaves this way only: exactly one job at the vendor fits.
    async fn is_evident(&self, record: &JobRecord, decision: &Decision) -> bool {
        match decision {
            Decision::Adopt(remote) => self.candidates(record).await == [remote.as_str()],
            Decision::Abandon => false,
        }
    }

    /// Does what was decided.
    pub(crate) async fn decide(
        &self,
        id: LedgerId,
        decision: &Decision,
        by: &str,
    ) -> Result<JobRecord, ToolError> {
        let resolution = match decision {
            Decision::Abandon => Resolution::Abandon,
            Decision::Adopt(remote) => {
                let remote = JobId::new(remote.as_str()).map_err(|problem| {
                    ToolError::invalid(format!("adopt {remote:?}: {problem}"))
                })?;
                Resolution::Adopt(remote)
            }
        };
        let (runner, by) = (self.runner.clone(), format!("by {by}"));
        let decide = tokio::spawn(async move { runner.resolve(id, resolution, &by).await });
        match decide.await {
            Ok(done) => done?,
            Err(problem) => {
                return Err(ToolError::new(ExitCode::Unexpected, problem.to_string()));
            }
        }
        self.find(&id.to_string()).await
    }
}

fn refused(record: &JobRecord, why: &str) -> ToolError {
    ToolError::invalid(format!(
        "job {} is unchanged: a person decides about it, because a second purchase may follow, and {why}; run docjobs \
         resolve {} --adopt JOB_ID or --abandon",
        record.id, record.id
    ))
}

fn confirmed(record: &JobRecord, answer: &ElicitResult) -> Result<Permission, ToolError> {
    let is_yes = answer.action == ElicitationAction::Accept
        && answer
            .content
            .as_ref()
            .and_then(|content| content.get(QUESTION))
            .and_then(serde_json::Value::as_bool)
            == Some(true);
    if is_yes {
        Ok(Permission::Given)
    } else {
        Err(refused(record, "the user did not confirm it"))
    }
}

fn question(record: &JobRecord, decision: &Decision) -> Result<ElicitRequestParams, ToolError> {
    let job = format!("the {} job {} ({})", record.vendor, record.id, record.input);
    let message = match decision {
        Decision::Abandon => format!(
            "Give {job} up? It is {} and may have been charged. If the same document is submitted afterwards, it is paid \
             for a second time.",
            record.stage
        ),
        Decision::Adopt(remote) => format!(
            "Take the vendor's job {remote} to be {job}? If it is another job, its result is delivered as this one's, and \
             what this one cost is lost."
        ),
    };
    let schema = ElicitationSchema::builder()
        .required_bool(QUESTION)
        .build()
        .map_err(|problem| ToolError::new(ExitCode::Unexpected, problem.to_string()))?;
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message,
        requested_schema: schema,
    })
}

/// What the client gives back with the answer: it holds for this job at this stage and this decision only.
fn state_of(record: &JobRecord, decision: &Decision) -> String {
    let text = format!("{} {} {decision:?}", record.id, record.stage);
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
