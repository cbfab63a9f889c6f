//! Credentials that are easy to find again, and the simulators that accept them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use vendor_sim::mindshow::MindShowOptions;
use vendor_sim::ppj::PpjOptions;
use vendor_sim::tencent::TencentOptions;
use vendor_sim::textin::TextInOptions;
use vendor_sim::wecom::WeComOptions;
use vendor_sim::{SimOptions, Simulators};

/// How much faster than the vendor everything goes; slow enough for the printer's login on a busy machine.
pub(crate) const SPEED: u32 = 20;

/// One credential.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) vendor: &'static str,
    /// Whether it may go to the vendor's API: a key that only signs goes nowhere.
    pub(crate) is_sent: bool,
    pub(crate) text: String,
}

/// Each has characters that are written in another way in addresses, in JSON and in base64.
pub(crate) fn marks() -> Vec<Mark> {
    [
        ("textin", true, "mk-ti-id+Q7/zz=1%21"),
        ("textin", true, "mk-ti-code+W8/yy=2%22?a&b"),
        ("ppj", true, "mk-pp-key+E9/xx=3%23;~"),
        // Stands in a header beside the signature.
        ("ppj", true, "mk-pp-id-R1ww4"),
        ("ppj", false, "mk-pp-secret+T2/vv=5%25"),
        ("mindshow", true, "mk-ms-key+Y3/uu=6%26"),
        // Stands in a list that is separated by slashes and commas.
        ("tencent", true, "mkTcIdU4tt7AKID"),
        ("tencent", false, "mk-tc-key+I5/ss=8%28"),
        ("tencent", true, "mk-tc-token+O6/rr=9%29"),
        ("wecom", false, "mk-wc-no+P7/qq=0%30"),
    ]
    .map(|(vendor, is_sent, text)| Mark {
        vendor,
        is_sent,
        text: text.to_owned(),
    })
    .into()
}

/// Simulators of accounts with these credentials.
pub(crate) async fn simulators() -> Simulators {
    let mut texts = marks().into_iter().map(|mark| mark.text);
    let mut next = || texts.next().unwrap();
    let options = SimOptions {
        speed: f64::from(SPEED),
        textin: TextInOptions {
            app_id: next(),
            secret_code: next(),
            ..TextInOptions::default()
        },
        ppj: PpjOptions {
            access_key: next(),
            app_id: next(),
            app_secret: next(),
            ..PpjOptions::default()
        },
        mindshow: MindShowOptions {
            api_key: next(),
            ..MindShowOptions::default()
        },
        tencent: TencentOptions {
            secret_id: next(),
            secret_key: next(),
            session_token: Some(next()),
            ..TencentOptions::default()
        },
        wecom: WeComOptions {
            secret_no: next(),
            ..WeComOptions::default()
        },
        ..SimOptions::default()
    };
    Simulators::start(options).await.unwrap()
}

/// `text` as an address would hold it.
pub(crate) fn percent(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// Every way in which a text may hide in another one.
fn forms(text: &str) -> Vec<String> {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut forms = vec![
        text.to_owned(),
        percent(text),
        percent(text).to_lowercase(),
        percent(text).replace("%20", "+"),
        escaped.to_lowercase(),
        escaped,
        hex(text.as_bytes()),
        hex(text.as_bytes()).to_uppercase(),
        text.replace('/', "\\/"),
        // As `Debug` prints bytes.
        format!("{:?}", text.as_bytes())
            .trim_matches(['[', ']'])
            .to_owned(),
        text.chars().rev().collect(),
    ];
    // Base64 depends on how many bytes stand before; what neighbours have a part in is left out.
    for before in 0..3 {
        let bytes = [&vec![0; before], text.as_bytes()].concat();
        let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for encoded in [
            STANDARD_NO_PAD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            forms.push(encoded[from..to].to_owned());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

/// Looks for credentials, and says where each was found.
#[derive(Debug, Default)]
pub(crate) struct Search {
    forms: Vec<(String, Vec<String>)>,
    searched: usize,
    found: Vec<String>,
}

impl Search {
    pub(crate) fn for_marks(marks: impl IntoIterator<Item = String>) -> Self {
        Self {
            forms: marks
                .into_iter()
                .map(|mark| (mark.clone(), forms(&mark)))
                .collect(),
            ..Self::default()
        }
    }

    /// Looks through `bytes`, which were found at `place`.
    pub(crate) fn through(&mut self, place: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.searched += bytes.len();
        for (mark, forms) in &self.forms {
            for form in forms.iter().filter(|form| text.contains(form.as_str())) {
                let at = text.find(form.as_str()).unwrap();
                let around: String = text[..at].chars().rev().take(80).collect();
                let around: String = around.chars().rev().collect();
                self.found
                    .push(format!("{place}: {mark} as {form}, behind {around:?}"));
            }
        }
    }

    /// Every file below `folder`, except those that `skips` names.
    pub(crate) fn through_folder(
        &mut self,
        folder: &std::path::Path,
        skips: &[std::path::PathBuf],
    ) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if skips.contains(&path) {
                continue;
            }
            if path.is_dir() {
                self.through_folder(&path, skips);
            } else {
                let name = path.display().to_string();
                self.through(&format!("the name of {name}"), name.as_bytes());
                self.through(&name, &std::fs::read(&path).unwrap());
            }
        }
    }

    /// Fails if anything was found, and if hardly anything was looked through.
    pub(crate) fn end(self, at_least: usize) {
        assert!(
            self.searched >= at_least,
            "only {} bytes were looked through",
            self.searched
        );
        assert!(self.found.is_empty(), "{}", self.found.join("\n"));
    }
}

#[test]
fn a_credential_is_found_in_every_form() {
    let mark = "mk+s/e=c%";
    for hidden in [
        "x mk+s/e=c% y".to_owned(),
        "mk%2Bs%2Fe%3Dc%25".to_owned(),
        "mk%2bs%2fe%3dc%25".to_owned(),
        "6d6b2b732f653d6325".to_owned(),
        "[109, 107, 43, 115, 47, 101, 61, 99, 37]".to_owned(),
        r"mk+s\/e=c%".to_owned(),
        STANDARD_NO_PAD.encode("mk+s/e=c%"),
        STANDARD_NO_PAD.encode("user:mk+s/e=c%@host"),
        STANDARD_NO_PAD.encode("users:mk+s/e=c%@host"),
        URL_SAFE_NO_PAD.encode("me:mk+s/e=c%"),
    ] {
        let mut search = Search::for_marks([mark.to_owned()]);
        search.through("here", hidden.as_bytes());
        assert!(!search.found.is_empty(), "{hidden}");
    }
    let mut search = Search::for_marks([mark.to_owned()]);
    search.through("here", b"nothing of that kind");
    search.end(20);
}
