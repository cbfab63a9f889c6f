//! `docjobs textin`: parse a document.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jobs_core::disk::OutputPath;
use jobs_core::http::{Document, DownloadError};
use jobs_core::{Job, Moment, SubmitError};
use jobs_ledger::{Claim, at};
use serde_json::{Value, json};
use textin::{Client, PageRange, Parse, ParseRequest, Ready};

use crate::app::App;
use crate::args::{Format, ParseArgs};
use crate::exit::Stop;
use crate::flow;
use crate::input::{self, Given, Input};
use crate::line::{Brought, Line};
use crate::place::absolute;
use crate::rate;

pub(crate) const VENDOR: &str = "textin";

/// `docjobs textin parse`
pub(crate) async fn parse(app: &App, args: ParseArgs) -> Result<(), Stop> {
    let line = ParseLine {
        client: client(app)?,
        format: args.format,
    };
    let options = Options {
        pages: args.pages.as_deref().map(pages).transpose()?,
        password_file: args.password_file.as_deref().map(absolute).transpose()?,
    };
    // What came on stdin is there until the end of this command.
    let given;
    let (request, input) = match args.input.to_str().filter(|text| is_url(text)) {
        Some(url) => order_url(url, &options)?,
        None => {
            given = Given::new(Path::new(&args.input), args.name).await?;
            order(given.open()?, given.path(), &options)?
        }
    };
    let input = Input {
        format: Some(args.format.name()),
        ..input
    };
    flow::run(app, &line, &request, input, args.output.as_deref()).await
}

/// The client of the account in the environment.
pub(crate) fn client(app: &App) -> Result<Client, Stop> {
    let client =
        Client::builder_from(&app.env(VENDOR)).map_err(|error| Stop::before_acceptance(&error))?;
    let (clock, rate) = (app.clock()?, rate::shared(app)?);
    let client = client
        .with_config(|config| config.with_clock(clock).with_shared_rate(rate))
        .with_policy(|facts| app.pace(VENDOR, facts))
        .build()
        .map_err(|error| Stop::before_acceptance(&error))?;
    app.allow_scale(client.origin())?;
    Ok(client)
}

/// Parsing, as the command line brings it home.
pub(crate) struct ParseLine {
    pub(crate) client: Client,
    pub(crate) format: Format,
}

fn pages(text: &str) -> Result<PageRange, Stop> {
    text.parse()
        .map_err(|problem| Stop::bad_input(format!("--pages: {problem}")))
}

fn is_url(input: &str) -> bool {
    let is = |scheme: &str| {
        let beginning = input.get(..scheme.len()).unwrap_or_default();
        beginning.eq_ignore_ascii_case(scheme)
    };
    is("https://") || is("http://")
}

/// What decides what the vendor makes of a document.
struct Options {
    pages: Option<PageRange>,
    /// Where the password is. Its content is read for the submit alone, and kept nowhere; another file is another try.
    password_file: Option<PathBuf>,
}

impl Options {
    /// As the ledger knows them again.
    fn written(&self) -> Result<Value, Stop> {
        let mut options = json!({ "pages": self.pages.as_ref().map(ToString::to_string) });
        if let (Some(path), Value::Object(options)) = (&self.password_file, &mut options) {
            let text = path.to_str().ok_or_else(|| {
                let path = path.display();
                Stop::bad_input(format!(
                    "--password-file: the path {path} is no UTF-8; rename the file"
                ))
            })?;
            options.insert("password_file".to_owned(), text.into());
        }
        Ok(options)
    }

    /// The request with them; reads the password.
    fn asked_of(&self, mut request: ParseRequest) -> Result<ParseRequest, Stop> {
        if let Some(pages) = &self.pages {
            request = request.with_pages(pages);
        }
        if let Some(path) = &self.password_file {
            request = request.with_password(password(path)?);
        }
        Ok(request)
    }

    fn read(written: &Value) -> Result<Self, Stop> {
        let text = |key: &str| written.get(key).and_then(Value::as_str);
        Ok(Self {
            pages: text("pages").map(pages).transpose()?,
            password_file: text("password_file").map(PathBuf::from),
        })
    }
}

fn order_url(url: &str, options: &Options) -> Result<(ParseRequest, Input), Stop> {
    let input = Input::address(url, options.written()?);
    Ok((options.asked_of(ParseRequest::url(url))?, input))
}

fn order(
    document: Document,
    path: Option<&Path>,
    options: &Options,
) -> Result<(ParseRequest, Input), Stop> {
    let input = Input::document(&document, path, options.written()?)?;
    Ok((options.asked_of(ParseRequest::document(document))?, input))
}

/// The first line of a file; nothing of it is in an error.
fn password(path: &Path) -> Result<String, Stop> {
    const LONGEST: u64 = 4096;
    let unusable = |problem: &str| {
        Stop::bad_input(format!(
            "--password-file: {} {problem}; put the document's password there, in one line",
            path.display()
        ))
    };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(|problem| input::unreadable(path, &problem))?;
    file.take(LONGEST + 1)
        .read_to_end(&mut content)
        .map_err(|problem| input::unreadable(path, &problem))?;
    if content.len() as u64 > LONGEST {
        return Err(unusable("is too long for a password"));
    }
    let content = String::from_utf8(content).map_err(|_| unusable("is no UTF-8"))?;
    let content = content.strip_prefix('\u{feff}').unwrap_or(&content);
    match content.lines().next().unwrap_or_default() {
        "" => Err(unusable("is empty")),
        password => Ok(password.to_owned()),
    }
}

#[async_trait]
impl Line for ParseLine {
    type Kind = Parse;
    type Order = ParseRequest;

    fn kind(&self) -> Arc<Parse> {
        self.client.kind()
    }

    fn order_again(&self, job: &jobs_ledger::JobRecord) -> Result<ParseRequest, Stop> {
        let options = Options::read(&job.options)?;
        let (request, input) = match input::text_of(job, "url") {
            Some(url) => order_url(&url, &options)?,
            None => {
                let path = input::path_of(job)?;
                order(input::open(&path)?, Some(&path), &options)?
            }
        };
        input.must_be(job)?;
        Ok(request)
    }

    async fn submit(
        &self,
        _: &Claim<at::Submitting>,
        request: &ParseRequest,
    ) -> Result<Job<Parse>, SubmitError> {
        self.client.parse(request.clone()).submit().await
    }

    fn serves(&self, job: &jobs_ledger::JobRecord) -> bool {
        Format::of(job) == self.format
    }

    fn is_text(&self) -> bool {
        true
    }

    async fn fetch(
        &self,
        ready: Ready,
        target: &OutputPath,
        deadline: Moment,
    ) -> Result<Brought, DownloadError> {
        let (verified, _) = match self.format {
            Format::Markdown => ready.fetch_markdown(target, deadline).await?,
            Format::Json => ready.fetch_json(target, deadline).await?,
        };
        Ok(Brought::File(Box::new(verified)))
    }

    fn extension(&self) -> &'static str {
        self.format.extension()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_its_file_and_in_no_error() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("pw");
        for (content, read) in [
            (&b"hunter2\n"[..], Some("hunter2")),
            (b"\xef\xbb\xbf open sesame \r\nrest", Some(" open sesame ")),
            ("密码".as_bytes(), Some("密码")),
            (b"", None),
            (b"\nhunter2", None),
            (b"hunter2\xff", None),
            (&[b'x'; 5000], None),
        ] {
            std::fs::write(&path, content).unwrap();
            let password = password(&path);
            assert_eq!(password.as_deref().ok(), read);
            assert!(
                password
                    .err()
                    .is_none_or(|stop| !stop.line.contains("hunter2"))
            );
        }
        let missing = password(&place.path().join("none")).unwrap_err();
        assert_eq!(missing.exit, crate::exit::Exit::BadInput);
    }

    #[test]
    fn another_password_file_is_another_input_and_none_is_what_it_was() {
        let written = |file: Option<&str>| {
            let options = Options {
                pages: None,
                password_file: file.map(PathBuf::from),
            };
            options.written().unwrap()
        };
        assert_eq!(written(None), json!({ "pages": null }));
        assert_ne!(written(Some("/a")), written(Some("/b")));
        let read = Options::read(&written(Some("/a"))).unwrap();
        assert_eq!(read.password_file.as_deref(), Some(Path::new("/a")));
    }
}
