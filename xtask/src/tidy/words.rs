//! The words that the checks look for. Each is put together from two halves, so that this file keeps its own rules.

/// Vendors' names, headers and codes: no business of `jobs-core`, in any case of letters.
pub(crate) const VENDOR: &[&str] = &[
    "textin",
    "xparse",
    "intsig",
    "合合",
    "ppj",
    "pp匠",
    "mindshow",
    "tencent",
    "腾讯",
    "wecom",
    "企业微信",
    "weixin",
    "qyapi",
    "x-ti-",
    "x-tc-",
    "tc3-hmac",
];

/// Reading the time or sleeping; only the clock does that.
pub(crate) const CLOCK: &[&str] = &[
    concat!("Instant", "::now"),
    concat!("SystemTime", "::now"),
    concat!("Utc", "::now"),
    concat!("Local", "::now"),
    concat!("tokio::time", "::sleep"),
    concat!("thread", "::sleep"),
    concat!("time", "::timeout"),
    concat!("time", "::interval"),
];

/// What belongs to one machine or one way of building, and to no source text.
pub(crate) const FOREIGN: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("crates", ".io"),
    concat!("index.", "crates"),
    concat!("py", "pi.org"),
    concat!("registry.npm", "js"),
    concat!("proxy.golang", ".org"),
];

/// Names that say nothing about what a module answers for.
pub(crate) const VAGUE: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "managers", "misc",
];

pub(crate) const IGNORE: &str = concat!("#[igno", "re");
