//! A database that cannot hold our text is refused before anything is sent.

use super::stand_in::{StandIn, Vendor};
use crate::faults::database::{Database, SERVER};

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_but_utf8_is_named_and_refused() {
    let Ok(server) = std::env::var(SERVER) else {
        return;
    };
    for encoding in ["LATIN1", "SQL_ASCII", "EUC_CN"] {
        let options =
            format!("encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'");
        let purpose = format!("encoding_{}", encoding.to_lowercase());
        let database = Database::make(server.clone(), &purpose, &options).await;
        let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
        let ledger = [("DOCJOBS_LEDGER", database.url())];
        let ledger = ledger.each_ref().map(|(name, url)| (*name, url.as_str()));
        let ran = vendor.run_with(&vendor.purchase(), &ledger);
        ran.ended(2, &[encoding]);
        assert!(vendor.asked().is_empty());
        let doctor = vendor.run_with(&["doctor"], &ledger);
        let told = format!("{}{}", doctor.stdout, doctor.stderr);
        assert!(
            told.contains(encoding) && doctor.exit != Some(0),
            "{doctor:#?}"
        );
        database.drop().await;
    }
}
