//! What people met at vendors like these, in their raw bytes: a file for each kind, a test for each input. The vendor is a
//! plain server that shares no code with the simulators or the clients.

#[path = "19_advice.rs"]
mod advice;
#[path = "02_coding.rs"]
mod coding;
#[path = "08_connection.rs"]
mod connection;
#[path = "15_encoding.rs"]
mod encoding;
#[path = "12_failover.rs"]
mod failover;
#[path = "06_foreign_page.rs"]
mod foreign_page;
#[path = "13_isolation.rs"]
mod isolation;
#[path = "04_job_id.rs"]
mod job_id;
mod ledger_of_others;
#[path = "10_link.rs"]
mod link;
#[path = "01_odd_text.rs"]
mod odd_text;
#[path = "16_place.rs"]
mod place;
mod places;
mod plain_database;
#[path = "14_pooler.rs"]
mod pooled;
#[path = "../../../crates/jobs-ledger/tests/it/pooler.rs"]
mod pooler;
#[path = "17_printer_proxy.rs"]
mod printer_proxy;
mod printer_socket;
#[path = "07_refused_download.rs"]
mod refused_download;
#[path = "09_result_nets.rs"]
mod result_nets;
#[path = "11_signal.rs"]
mod signal;
#[path = "20_small.rs"]
mod small;
mod stand_in;
#[path = "05_state.rs"]
mod state;
#[path = "03_zip_method.rs"]
mod zip_method;
