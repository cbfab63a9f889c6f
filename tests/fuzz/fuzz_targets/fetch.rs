//! Downloads from a server that cuts, repeats, and lies in its headers: what is saved is one document, and whole.
#![no_main]

use std::cell::RefCell;

use jobs_core::disk::OutputPath;
use jobs_core::http::{Download, HttpClient, HttpClientBuilder, Origin};
use jobs_core::testing::ManualClock;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// What the server says to one request.
#[derive(Debug, Arbitrary)]
struct Reply<'a> {
    /// Which document, and under which tag.
    document: bool,
    behaviour: Behaviour,
    /// The body is cut behind this share of 256.
    share: u8,
    header: &'a [u8],
}

#[derive(Debug, Arbitrary, PartialEq)]
enum Behaviour {
    /// As HTTP wants it, with a strong tag.
    Right,
    /// Without a tag, so that nothing can be resumed.
    Untagged,
    /// With a tag that promises the meaning alone.
    Weak,
    /// The whole although a part was asked for.
    Whole,
    /// No length is given: the end is the end of the connection, in chunks.
    Chunked,
    /// The whole with another length.
    WrongLength(u8),
    /// A part that begins elsewhere.
    WrongPart(u8),
    /// Another status.
    Status(u8),
}

const DOCUMENTS: [&str; 2] = [
    "0123456789abcdefghij",
    "the other document of another length",
];

struct World {
    runtime: Runtime,
    client: HttpClient,
    clock: ManualClock,
    listener: TcpListener,
    folder: tempfile::TempDir,
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
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let clock = ManualClock::new();
        let guard = runtime.enter();
        let client = HttpClientBuilder::new("v", Origin::parse(&origin).unwrap())
            .with_clock(clock.shared())
            .build()
            .unwrap();
        drop(guard);
        Self {
            runtime,
            client,
            clock,
            listener,
            folder: tempfile::tempdir().unwrap(),
        }
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|replies: Vec<Reply<'_>>| {
    WORLD.with_borrow(|world| world.runtime.block_on(play(world, &replies)));
});

async fn play(world: &World, replies: &[Reply<'_>]) {
    let path = world.folder.path().join("result");
    let target = OutputPath::new(&path).unwrap();
    let url = format!("{}/x", world.client.origin());
    let fetched = world
        .clock
        .run(world.client.download(Download::new("fetch", &url), &target));
    let serving = serve(&world.listener, replies);
    tokio::pin!(fetched, serving);
    let outcome = loop {
        tokio::select! {
            outcome = &mut fetched => break outcome,
            () = &mut serving => unreachable!("the server goes on for ever"),
        }
    };
    assert!(!path.exists(), "nothing is at the final name yet");
    if let Ok(fetched) = outcome {
        let (verified, ()) = fetched.verify(|_, _| Ok(())).await.unwrap();
        verified.save().await.unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let is_honest = replies.iter().all(|reply| reply.is_honest());
        let text = String::from_utf8_lossy(&bytes);
        assert!(!is_honest || DOCUMENTS.contains(&&*text), "{text:?}");
    }
    let left = std::fs::read_dir(world.folder.path()).unwrap().count();
    assert_eq!(left, 0, "something is left behind");
}

impl Reply<'_> {
    /// Whether it tells no lie that only the vendor's own check of a result can find.
    fn is_honest(&self) -> bool {
        match self.behaviour {
            // An empty document under a status of success.
            Behaviour::Status(_) => !(200..300).contains(&self.status()),
            Behaviour::WrongLength(_) => false,
            _ => true,
        }
    }

    fn status(&self) -> u16 {
        match self.behaviour {
            Behaviour::Status(other) => 200 + u16::from(other) * 2 % 400,
            _ => 200,
        }
    }
}

async fn serve(listener: &TcpListener, replies: &[Reply<'_>]) {
    let mut replies = replies.iter();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        // Whoever asks more often than there are replies is refused for good.
        let served = answer(stream, replies.next());
        drop(served.await);
    }
}

async fn answer(mut stream: TcpStream, reply: Option<&Reply<'_>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    stream
        .write_all(&bytes(
            &String::from_utf8_lossy(&request).to_lowercase(),
            reply,
        ))
        .await?;
    stream.shutdown().await
}

/// The answer in bytes, cut where the reply says so.
fn bytes(request: &str, reply: Option<&Reply<'_>>) -> Vec<u8> {
    let Some(reply) = reply else {
        return b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n".to_vec();
    };
    let (document, tag) = (DOCUMENTS[usize::from(reply.document)], reply.document);
    let asked = request
        .split_once("range: bytes=")
        .and_then(|(_, rest)| rest.split_once('-')?.0.parse::<usize>().ok());
    let knows_tag = request.contains(&format!("if-range: \"{tag}\""));
    let from = asked.filter(|from| knows_tag && *from <= document.len());
    let (mut status, mut from, mut tag) = match from {
        Some(from) => (206, from, format!("ETag: \"{tag}\"\r\n")),
        None => (200, 0, format!("ETag: \"{tag}\"\r\n")),
    };
    let mut range = format!(
        "Content-Range: bytes {from}-{}/{}\r\n",
        document.len().max(1) - 1,
        document.len()
    );
    let mut len = document.len() - from;
    match reply.behaviour {
        Behaviour::Right | Behaviour::Chunked => {}
        Behaviour::Untagged => tag.clear(),
        Behaviour::Weak => tag = tag.replace(": \"", ": W/\""),
        Behaviour::Whole => (status, from, len) = (200, 0, document.len()),
        Behaviour::WrongLength(other) => len = usize::from(other),
        Behaviour::WrongPart(other) => range = format!("Content-Range: bytes {other}-99/100\r\n"),
        Behaviour::Status(_) => status = reply.status(),
    }
    if status != 206 && !matches!(reply.behaviour, Behaviour::WrongPart(_)) {
        range.clear();
    }
    let has_body = !matches!(reply.behaviour, Behaviour::Status(_));
    let body = if has_body { &document[from..] } else { "" };
    let header: String = String::from_utf8_lossy(reply.header)
        .chars()
        .filter(|c| !c.is_control() && c.is_ascii())
        .take(60)
        .collect();
    let header = if header.contains(':') && !reply.is_framed(&header) {
        format!("{header}\r\n")
    } else {
        String::new()
    };
    let (framing, body) = if reply.behaviour == Behaviour::Chunked {
        let chunk = if body.is_empty() {
            String::new()
        } else {
            format!("{:x}\r\n{body}\r\n", body.len())
        };
        (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            format!("{chunk}0\r\n\r\n"),
        )
    } else {
        let len = if has_body { len } else { 0 };
        (format!("Content-Length: {len}\r\n"), body.to_owned())
    };
    let cut = (body.len() * usize::from(reply.share))
        .div_ceil(255)
        .min(body.len());
    let head =
        format!("HTTP/1.1 {status} Said\r\n{tag}{range}{framing}{header}Connection: close\r\n\r\n");
    [head.as_bytes(), &body.as_bytes()[..cut]].concat()
}

impl Reply<'_> {
    /// Whether the header would contradict what was decided about the body, or lead to other machines.
    fn is_framed(&self, header: &str) -> bool {
        let name = header
            .split(':')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        [
            "content-length",
            "transfer-encoding",
            "content-range",
            "etag",
            "last-modified",
            "connection",
            "location",
        ]
        .contains(&&*name)
    }
}
