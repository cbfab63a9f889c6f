//! Answers to paid calls: the job's id is read out of any answer that shows it, and made up for none that does not.
#![no_main]

use std::cell::RefCell;

use jobs_core::http::Document;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::JobKind;
use jobs_core::{Job, Secret, SubmitError};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    vendor: u8,
    id: Id,
    /// What stands before, beside and behind the id; taken one after the other.
    beside: Vec<Beside<'a>>,
    /// A byte order mark before everything.
    is_marked: bool,
    /// The id is not there.
    is_silent: bool,
    /// The code of success is a text.
    is_code_text: bool,
}

#[derive(Debug, Arbitrary)]
struct Id {
    /// Each becomes a letter or a digit.
    bytes: [u8; 8],
    longer: bool,
}

/// A field that nobody needs.
#[derive(Debug, Arbitrary)]
struct Beside<'a> {
    key: u8,
    value: Value<'a>,
}

#[derive(Debug, Arbitrary)]
enum Value<'a> {
    /// A text of any bytes, but for quotes and backslashes.
    Text(&'a [u8]),
    /// One of the list below.
    Odd(u8),
    /// So many brackets.
    Deep(u8),
    /// So many digits.
    Digits(u8),
}

const ODD: [&str; 16] = [
    "null",
    "true",
    "-0",
    "1e999",
    "NaN",
    "-Infinity",
    r#""\ud835""#,
    r#""\udc00\ud835""#,
    r#""\u0000""#,
    r#""\/\b\f\n""#,
    "[]",
    "{}",
    r#"["a",{"b":NaN}]"#,
    r#"{"id":"other","job_id":"other","token":"other","TaskId":"other"}"#,
    "\"\u{feff}\"",
    " \t\r\n 7 ",
];

/// Fields of envelopes whose types are the vendor's affair, and others.
const KEYS: [&str; 10] = [
    "message",
    "info",
    "request_id",
    "RequestId",
    "title",
    "state",
    "x_request_id",
    "created_at",
    "a b",
    "\u{8bf7}",
];

struct World {
    runtime: Runtime,
    listener: TcpListener,
    clock: ManualClock,
    textin: textin::Client,
    ppj: ppj::Client,
    mindshow: mindshow::Client,
    tencent: tencent_ess::Client,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let clock = ManualClock::new();
        let secret = |text: &str| Secret::new(text.to_owned()).unwrap();
        let guard = runtime.enter();
        let textin = textin::Client::builder(secret("app-000001"), secret("secret-000001"))
            .with_config(|config| config.with_base_url(&url).with_clock(clock.shared()))
            .build()
            .unwrap();
        let ppj = ppj::Client::builder(ppj::Credentials::AccessKey(secret("access-key-1")))
            .with_config(|config| {
                config
                    .with_base_url(format!("{url}/api/"))
                    .with_clock(clock.shared())
            })
            .build()
            .unwrap();
        let mindshow = mindshow::Client::builder(secret("api-key-000001"))
            .with_config(|config| config.with_base_url(&url).with_clock(clock.shared()))
            .build()
            .unwrap();
        let agent = tencent_ess::Agent::new("app", "org", "operator");
        let tencent =
            tencent_ess::Client::builder(secret("AKID00000001"), secret("key-00000001"), agent)
                .with_environment(tencent_ess::Environment::custom(&url, &url))
                .with_config(|config| config.with_clock(clock.shared()))
                .build()
                .unwrap();
        drop(guard);
        Self {
            runtime,
            listener,
            clock,
            textin,
            ppj,
            mindshow,
            tencent,
        }
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|input: Input<'_>| {
    WORLD.with_borrow(|world| world.runtime.block_on(play(world, &input)));
});

async fn play(world: &World, input: &Input<'_>) {
    let answer = input.answer();
    let submitted = world.clock.run(submit(world, input.vendor));
    let serving = serve(&world.listener, &answer);
    tokio::pin!(submitted, serving);
    let taken = tokio::select! {
        taken = &mut submitted => taken,
        () = &mut serving => unreachable!("the server goes on for ever"),
    };
    let shown = (!input.is_silent).then(|| input.id());
    assert_eq!(taken, shown, "{}", String::from_utf8_lossy(&answer));
}

/// The id of the job that was accepted.
async fn submit(world: &World, vendor: u8) -> Option<String> {
    match vendor % 4 {
        0 => {
            let document = Document::from_bytes("a.txt", "some text");
            let request = textin::ParseRequest::document(document);
            taken(world.textin.parse(request.clone()).submit().await)
        }
        1 => {
            let document = Document::from_bytes("a.pptx", "PK");
            let request = ppj::ConvertRequest::new(document).with_any_content();
            taken(world.ppj.convert(request.clone()).submit().await)
        }
        2 => {
            let request = mindshow::types::MarkdownDeck::from_markdown(
                "# a\n\n## b\n\n### c\n\n#### d\n\ne\n",
            );
            taken(world.mindshow.deck(request.clone()).submit().await)
        }
        _ => {
            let id = tencent_ess::ResourceId::new("resource").unwrap();
            let kind = tencent_ess::types::ResourceType::Docx;
            taken(
                world
                    .tencent
                    .convert(tencent_ess::ConvertRequest::uploaded(
                        id.clone(),
                        kind,
                        "a.docx",
                    ))
                    .submit()
                    .await,
            )
        }
    }
}

fn taken<K: JobKind>(submission: Result<Job<K>, SubmitError>) -> Option<String> {
    let job = submission.ok()?;
    Some(job.id().as_str().to_owned())
}

impl Input<'_> {
    fn id(&self) -> String {
        const LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
        let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
        let id: String = self.id.bytes.iter().map(letter).collect();
        // Not the one that stands elsewhere in the answer.
        format!("j{}", id.repeat(if self.id.longer { 4 } else { 1 }))
    }

    /// The vendor's envelope, with what stands beside the id around it.
    fn answer(&self) -> Vec<u8> {
        let mut beside = self.beside.iter().take(12);
        let mut fields = |name: &str| {
            let mut fields: Vec<Vec<u8>> = beside.by_ref().take(2).map(Beside::written).collect();
            if !name.is_empty() && !self.is_silent {
                let at = fields.len() / 2;
                fields.insert(at, format!("\"{name}\":\"{}\"", self.id()).into_bytes());
            }
            fields
        };
        let code = |code: &str| match self.is_code_text {
            true => format!("\"code\":\"{code}\"").into_bytes(),
            false => format!("\"code\":{code}").into_bytes(),
        };
        let object = |fields: Vec<Vec<u8>>| [b"{", &fields.join(&b","[..])[..], b"}"].concat();
        let within =
            |name: &str, inner: Vec<u8>| [format!("\"{name}\":").as_bytes(), &inner].concat();
        let body = match self.vendor % 4 {
            0 => {
                let (data, mut outer) = (object(fields("job_id")), fields(""));
                outer.insert(0, code("200"));
                outer.push(within("data", data));
                object(outer)
            }
            1 => object(fields("token")),
            2 => {
                let (job, mut data) = (object(fields("id")), fields(""));
                data.push(within("job", job));
                let mut outer = fields("");
                outer.insert(0, code("0"));
                outer.push(within("data", object(data)));
                object(outer)
            }
            _ => {
                let response = object(fields("TaskId"));
                object(vec![within("Response", response)])
            }
        };
        let mark = if self.is_marked { "\u{feff}" } else { "" };
        [mark.as_bytes(), &body].concat()
    }
}

impl Beside<'_> {
    fn written(&self) -> Vec<u8> {
        let key = KEYS[usize::from(self.key) % KEYS.len()];
        let value = match self.value {
            Value::Text(bytes) => {
                let bytes = bytes
                    .iter()
                    .take(200)
                    .filter(|byte| !b"\"\\".contains(byte));
                [b"\"", &bytes.copied().collect::<Vec<u8>>()[..], b"\""].concat()
            }
            Value::Odd(which) => ODD[usize::from(which) % ODD.len()].as_bytes().to_vec(),
            Value::Deep(depth) => {
                let depth = usize::from(depth % 64);
                ["[".repeat(depth), "]".repeat(depth)].concat().into_bytes()
            }
            Value::Digits(count) => "9".repeat(usize::from(count) + 1).into_bytes(),
        };
        let value = if value.is_empty() {
            b"0".to_vec()
        } else {
            value
        };
        [format!("\"{key}\":").as_bytes(), &value].concat()
    }
}

async fn serve(listener: &TcpListener, body: &[u8]) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        drop(answer(stream, body).await);
    }
}

async fn answer(mut stream: TcpStream, body: &[u8]) -> std::io::Result<()> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(at) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
    while length.is_some_and(|length| request.len() < end + length)
        || (length.is_none() && head.contains("chunked") && !request.ends_with(b"0\r\n\r\n"))
    {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}
