//! Many jobs at once: recorded in one transaction, looked up without a write.

use std::path::PathBuf;

use jobs_ledger::{Intent, JobRecord, RecordedIntent};

use crate::enqueue::{absolute, handler_of_input, intent};
use crate::error::RunnerError;
use crate::job_input::JobInput;
use crate::runner::Runner;

/// One of many jobs that are recorded together.
#[derive(Debug, Clone)]
pub struct BulkJob {
    /// What is submitted.
    pub input: JobInput,
    /// Where the result goes.
    pub output: Option<PathBuf>,
    /// Whether it is **paid for once more** although the same input is a job already.
    pub again: bool,
}

impl Runner {
    /// Records jobs for a worker, all or none; outcomes come in the order of the jobs. The same input is one job, however
    /// often it is enqueued.
    ///
    /// # Errors
    /// [`NoHandler`](crate::RunnerErrorKind::NoHandler), and the ledger's.
    pub async fn enqueue_all(&self, jobs: &[BulkJob]) -> Result<Vec<RecordedIntent>, RunnerError> {
        let mut intents = Vec::with_capacity(jobs.len());
        for job in jobs {
            let output = job.output.as_deref().map(absolute).transpose()?;
            intents.push(self.intent_of(&job.input, output, job.again)?);
        }
        Ok(self.ledger().intend_all(intents).await?)
    }

    /// The job that each of these inputs is already. Writes nothing.
    ///
    /// # Errors
    /// [`NoHandler`](crate::RunnerErrorKind::NoHandler), and the ledger's.
    pub async fn find_same(
        &self,
        inputs: &[JobInput],
    ) -> Result<Vec<Option<JobRecord>>, RunnerError> {
        let intents = inputs
            .iter()
            .map(|input| self.intent_of(input, None, false));
        let intents = intents.collect::<Result<Vec<Intent>, _>>()?;
        Ok(self.ledger().find_same(&intents).await?)
    }

    fn intent_of(
        &self,
        input: &JobInput,
        output: Option<PathBuf>,
        again: bool,
    ) -> Result<Intent, RunnerError> {
        let handler = handler_of_input(self.handlers(), input)?;
        Ok(intent(handler, input, output, again))
    }
}
