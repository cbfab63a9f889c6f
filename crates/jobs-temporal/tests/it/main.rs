//! Jobs on a real Temporal server against the vendor's simulator: what happens to money when anything dies.
//!
//! `DOCJOBS_TEST_TEMPORAL` names the server's program; without it each test says that it was skipped.

mod money;
mod server;
mod starts;
mod trouble;
mod world;
