//! Jobs as tasks: the id of a task is the id of its job, and all of it comes from the ledger, so that a task outlives the
//! process that gave it out.

use jobs_ledger::{JobRecord, Stage};
use rmcp::ErrorData;
use rmcp::model::{
    DetailedTask, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationSchema, InputRequest, InputRequests, JsonObject, Task, TaskPayload, TaskStatus,
    UpdateTaskParams,
};
use serde_json::Value;

use super::answer::{self, ToolError};
use super::arguments::Decision;
use super::server::{Call, McpServer, actor, protocol_error};
use crate::moment::rfc3339;

/// How often a client is asked to look at a task.
const POLL_MS: u64 = 2_000;
/// The name of the question about a job in doubt, and of the fields of its answer.
const QUESTION: &str = "resolve";
const ADOPT: &str = "adopt";
const ABANDON: &str = "abandon";

impl McpServer {
    /// The task as the ledger knows its job.
    pub(crate) async fn task(&self, id: &str) -> Result<DetailedTask, ErrorData> {
        let record = self.job_of(id).await?;
        Ok(self.task_of(&record).await)
    }

    pub(crate) async fn task_of(&self, record: &JobRecord) -> DetailedTask {
        let mut surroundings = self.shared.surroundings(record);
        surroundings.result = self.shared.view(record, None).await.ok().flatten();
        let job = answer::job(record, &surroundings);
        let text = |name: &str| job.get(name).and_then(Value::as_str).unwrap_or_default();
        let status = match record.error.as_deref() {
            Some(error) if record.stage != Stage::Completed => {
                format!("{}: {error}. {}", record.stage, text("next"))
            }
            _ => format!("{}. {}", record.stage, text("next")),
        };
        let task = Task::new(
            record.id.to_string(),
            TaskStatus::Working,
            rfc3339(record.created_at),
            rfc3339(record.updated_at),
        )
        .with_status_message(status)
        .with_poll_interval_ms(POLL_MS);
        let payload = match record.stage {
            Stage::Abandoned => TaskPayload::Cancelled,
            stage if stage.is_settled() => self.ended(record).await,
            Stage::InDoubt if answer::is_decided(record, self.shared.access.works) => {
                self.question(record).await
            }
            _ => TaskPayload::Working,
        };
        DetailedTask::new(task, payload)
    }

    /// What the call would have answered that made the task.
    async fn ended(&self, record: &JobRecord) -> TaskPayload {
        let result = match self.job_result(record, None, true).await {
            Ok(result) => result,
            Err(error) => error.into_result(),
        };
        TaskPayload::Completed {
            result: into_object(&result),
        }
    }

    async fn question(&self, record: &JobRecord) -> TaskPayload {
        let candidates = self.shared.candidates(record).await;
        let found = if candidates.is_empty() {
            "no job at the vendor is known to fit".to_owned()
        } else {
            format!(
                "jobs at the vendor that may be it: {}",
                candidates.join(", ")
            )
        };
        let message = format!(
            "The answer to the submit of {} ({} job {}) was lost: it may have been charged; {found}. Look into the \
             vendor's console. Is it there? Then give its id there as {ADOPT}. Is it not? Then {ABANDON} gives it up; \
             submitting the same document afterwards pays a second time.",
            record.input, record.vendor, record.id
        );
        let schema = ElicitationSchema::builder()
            .optional_string(ADOPT)
            .optional_bool(ABANDON, false)
            .build();
        let Ok(requested_schema) = schema else {
            return TaskPayload::Working;
        };
        let request = InputRequest::Elicitation(ElicitRequest::new(
            ElicitRequestParams::FormElicitationParams {
                meta: None,
                message,
                requested_schema,
            },
        ));
        TaskPayload::InputRequired {
            input_requests: InputRequests::from([(QUESTION.to_owned(), request)]),
        }
    }

    /// The user's answer about a job in doubt.
    pub(crate) async fn update(
        &self,
        request: UpdateTaskParams,
        call: &Call,
    ) -> Result<(), ErrorData> {
        let record = self.job_of(&request.task_id).await?;
        if self.is_read_only(call) {
            let message = "this server or this token may only read, so nothing is changed";
            return Err(ErrorData::invalid_request(message, None));
        }
        let is_asked = record.stage == Stage::InDoubt;
        let Some(answer) = request.input_responses.get(QUESTION).filter(|_| is_asked) else {
            let message = format!("task {} asks nothing by that name now", record.id);
            return Err(ErrorData::invalid_params(message, None));
        };
        let answer: ElicitResult = serde_json::from_value(answer.clone()).map_err(|problem| {
            ErrorData::invalid_params(format!("the answer is not understood: {problem}"), None)
        })?;
        let content = answer.content.unwrap_or_default();
        let adopt = content
            .get(ADOPT)
            .and_then(Value::as_str)
            .map(str::trim)
            .filter(|id| !id.is_empty());
        let abandon = content.get(ABANDON).and_then(Value::as_bool) == Some(true);
        let decision = match (answer.action, adopt, abandon) {
            (ElicitationAction::Accept, Some(id), false) => Decision::Adopt(id.to_owned()),
            (ElicitationAction::Accept, None, true) => Decision::Abandon,
            (ElicitationAction::Accept, ..) => {
                let message = format!("give either {ADOPT} or {ABANDON}: true");
                return Err(ErrorData::invalid_params(message, None));
            }
            // Nothing is decided; the question stays.
            _ => return Ok(()),
        };
        let decided = self.shared.decide(record.id, &decision, actor(call)).await;
        decided.map(drop).map_err(|error| protocol_error(&error))
    }

    /// Gives a job up of which nothing was sent. What a vendor has goes on: it is paid for.
    pub(crate) async fn cancel(&self, id: &str, call: &Call) -> Result<(), ErrorData> {
        let record = self.job_of(id).await?;
        if record.stage == Stage::Intended && !self.is_read_only(call) {
            // Whoever submits it just now is faster, and the job is kept.
            let given_up = self
                .shared
                .decide(record.id, &Decision::Abandon, actor(call));
            drop(given_up.await);
        }
        Ok(())
    }

    async fn job_of(&self, id: &str) -> Result<JobRecord, ErrorData> {
        let unknown = || ErrorData::invalid_params(format!("{id:?} is not a task here"), None);
        let id = id.parse().map_err(|_| unknown())?;
        match self.shared.ledger().get(id).await {
            Ok(record) => record.ok_or_else(unknown),
            Err(error) => Err(protocol_error(&ToolError::from(error))),
        }
    }
}

fn into_object(value: &impl serde::Serialize) -> JsonObject {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => JsonObject::new(),
    }
}
