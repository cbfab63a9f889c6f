//! A result while it arrives: the bytes so far, and what their headers say of them.

use std::io;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};

use crate::disk::{OutputPath, StagedFile};
use crate::http::coding::Codings;

/// A result on its way.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) target: OutputPath,
    pub(super) draft: StagedFile,
    pub(super) file: BufWriter<tokio::fs::File>,
    pub(super) digest: Sha256,
    pub(super) len: u64,
    pub(super) headers: Headers,
    /// The most bytes that any attempt has come to. What begins anew and breaks off earlier brings nothing new.
    pub(super) furthest: u64,
    /// What says that a later piece belongs to the same bytes; without it, the next attempt begins anew.
    pub(super) validator: Option<HeaderValue>,
}

impl Partial {
    pub(super) fn new(target: &OutputPath) -> io::Result<Self> {
        let draft = target.stage()?;
        let file = tokio::fs::File::from_std(draft.file().try_clone()?);
        Ok(Self {
            target: target.clone(),
            draft,
            file: BufWriter::with_capacity(96 * 1024, file),
            digest: Sha256::new(),
            len: 0,
            headers: Headers::default(),
            furthest: 0,
            validator: None,
        })
    }

    /// The headers that ask for what is missing.
    pub(super) fn range(&self) -> Option<(String, HeaderValue)> {
        let validator = self.validator.clone().filter(|_| self.len > 0)?;
        Some((format!("bytes={}-", self.len), validator))
    }

    /// Whether the answer begins exactly where the file ends.
    pub(super) fn continues_with(&self, response: &reqwest::Response) -> bool {
        let start = format!("bytes {}-", self.len);
        let range = response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok());
        self.len > 0
            && response.status() == StatusCode::PARTIAL_CONTENT
            && range.is_some_and(|range| range.starts_with(&start))
    }

    pub(super) async fn restart(&mut self, response: &reqwest::Response) -> io::Result<()> {
        self.file.flush().await?;
        let file = self.file.get_mut();
        file.set_len(0).await?;
        file.rewind().await?;
        self.digest = Sha256::new();
        self.len = 0;
        self.headers = Headers::of(response.headers());
        // A weak tag may stand for other bytes of the same meaning, so it cannot join two halves.
        let strong = response
            .headers()
            .get(ETAG)
            .filter(|tag| !tag.as_bytes().starts_with(b"W/"));
        self.validator = strong.or(response.headers().get(LAST_MODIFIED)).cloned();
        Ok(())
    }
}

/// What the headers say of the bytes that came with them.
#[derive(Debug, Default)]
pub(super) struct Headers {
    pub(super) codings: Option<Codings>,
    pub(super) charset: Option<String>,
}

impl Headers {
    fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let parameters = content_type
            .into_iter()
            .flat_map(|text| text.split(';').skip(1));
        let charset = parameters
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned());
        Self {
            codings: Codings::declared(headers),
            charset,
        }
    }
}
