//! A cloud on a real socket that speaks raw JSON and shares nothing with the crate; and the time of its tests.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use jobs_core::Secret;
use jobs_core::testing::ManualClock;
use printer_jobs::{Device, DeviceBuilder, LoginTimes, Phase};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

pub(crate) const SECRET_NO: &str = "00112233445566778899aabbccddeeff";

/// One request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) cmd: String,
    pub(crate) req_id: String,
    pub(crate) body: Value,
    /// The file of an upload.
    pub(crate) data: Vec<u8>,
}

/// What to say to a request.
pub(crate) enum Say {
    /// Accepted, with this body.
    Body(Value),
    /// Refused.
    Code(i64, &'static str),
    /// A binary answer.
    File(Vec<u8>),
    /// These bytes, as they are.
    Raw(Message),
    /// Nothing, for ever.
    Nothing,
    /// Nothing, and the connection is cut.
    Cut,
    /// What the login or an unscripted command gets.
    Usual,
}

type Script = Box<dyn FnMut(&Seen) -> Say + Send>;

pub(crate) struct State {
    pub(crate) seen: Vec<Seen>,
    pub(crate) connections: usize,
    pub(crate) bound: bool,
    /// Answers to printer commands come without `headers`, as they did in 2019.
    pub(crate) headerless: bool,
    script: Script,
    live: Option<mpsc::UnboundedSender<Message>>,
}

pub(crate) struct Cloud {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    count: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

impl Cloud {
    pub(crate) async fn start(script: impl FnMut(&Seen) -> Say + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            seen: Vec::new(),
            connections: 0,
            bound: true,
            headerless: false,
            script: Box::new(script),
            live: None,
        }));
        let (counter, count) = watch::channel(0);
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            let counter = Arc::new(counter);
            while let Ok((stream, _)) = listener.accept().await {
                let (state, counter) = (Arc::clone(&shared), Arc::clone(&counter));
                tokio::spawn(async move { serve(stream, &state, &counter).await });
            }
        });
        Self {
            address,
            state,
            count,
            accepting,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Says something by itself on the newest connection.
    pub(crate) fn push(&self, message: Message) {
        let state = self.state();
        state.live.as_ref().unwrap().send(message).unwrap();
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.state().seen.iter().map(|it| it.cmd.clone()).collect()
    }

    pub(crate) fn asked(&self, cmd: &str) -> Vec<Seen> {
        let state = self.state();
        state
            .seen
            .iter()
            .filter(|it| it.cmd == cmd)
            .cloned()
            .collect()
    }

    /// Waits until this command has come so often.
    pub(crate) async fn has_seen(&self, cmd: &str, times: usize) {
        let mut count = self.count.clone();
        while self.asked(cmd).len() < times {
            count.changed().await.unwrap();
        }
    }

    /// A device of this cloud whose heartbeat is out of the way.
    pub(crate) fn device(&self, clock: &ManualClock) -> DeviceBuilder {
        Device::builder("TEST-SN-0001", Secret::new(SECRET_NO).unwrap())
            .with_url(self.url())
            .with_clock(clock.shared())
            .with_times(quiet)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// No heartbeat for an hour, so that only what a test is about happens.
pub(crate) fn quiet(times: &mut LoginTimes) {
    let hour = Duration::from_secs(3600);
    (times.heartbeat, times.silence) = (hour, hour * 3);
    (times.heartbeat_least, times.heartbeat_most) = (hour, hour * 2);
}

async fn serve(stream: TcpStream, state: &Mutex<State>, counter: &watch::Sender<usize>) {
    let Ok(socket) = accept_async(stream).await else {
        return;
    };
    let (mut sink, mut stream) = socket.split();
    let (live, mut pushes) = mpsc::unbounded_channel();
    let connection = {
        let mut state = state.lock().unwrap();
        state.live = Some(live);
        state.connections += 1;
        state.connections
    };
    loop {
        let message = tokio::select! {
            Some(push) = pushes.recv() => {
                if sink.send(push).await.is_err() { return; }
                continue;
            }
            message = stream.next() => message,
        };
        let seen = match message {
            Some(Ok(Message::Text(text))) => read_text(connection, &text),
            Some(Ok(Message::Binary(data))) => read_upload(connection, &data),
            Some(Ok(_)) => continue,
            _ => return,
        };
        let answer = {
            let mut state = state.lock().unwrap();
            state.seen.push(seen.clone());
            let say = (state.script)(&seen);
            say_it(&state, &seen, say)
        };
        counter.send_modify(|count| *count += 1);
        match answer {
            Ok(Some(message)) => {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(()) => return,
        }
    }
}

fn read_text(connection: usize, text: &str) -> Seen {
    let message: Value = serde_json::from_str(text).unwrap();
    Seen {
        connection,
        cmd: message["cmd"].as_str().unwrap().to_owned(),
        req_id: message["headers"]["req_id"].as_str().unwrap().to_owned(),
        body: message["body"].clone(),
        data: Vec::new(),
    }
}

/// Layout C, taken apart by hand.
fn read_upload(connection: usize, mut rest: &[u8]) -> Seen {
    let number = |rest: &mut &[u8]| {
        let (head, tail) = rest.split_at(4);
        *rest = tail;
        u32::from_le_bytes(head.try_into().unwrap())
    };
    assert_eq!(number(&mut rest), 2, "version");
    let mut fields = Vec::new();
    for _ in 0..4 {
        let length = number(&mut rest) as usize;
        let (field, tail) = rest.split_at(length);
        fields.push(field.to_vec());
        rest = tail;
    }
    assert!(rest.is_empty());
    Seen {
        connection,
        cmd: String::from_utf8(fields[0].clone()).unwrap(),
        req_id: String::from_utf8(fields[1].clone()).unwrap(),
        body: serde_json::from_slice(&fields[3]).unwrap(),
        data: fields[2].clone(),
    }
}

fn say_it(state: &State, seen: &Seen, say: Say) -> Result<Option<Message>, ()> {
    let mut answer = match say {
        Say::Usual => usual(state, seen),
        Say::Body(body) => json!({"errcode": 0, "errmsg": "ok", "body": body}),
        Say::Code(code, text) => json!({"errcode": code, "errmsg": text}),
        Say::File(data) => {
            return Ok(Some(Message::binary(layout_a(&seen.req_id, &data, None))));
        }
        Say::Raw(message) => return Ok(Some(message)),
        Say::Nothing => return Ok(None),
        Say::Cut => return Err(()),
    };
    if !(state.headerless && seen.cmd.starts_with("printer/")) {
        answer["headers"] = json!({"req_id": seen.req_id});
    }
    Ok(Some(Message::text(answer.to_string())))
}

fn usual(state: &State, seen: &Seen) -> Value {
    match seen.cmd.as_str() {
        "register" => {
            json!({"errcode": 0, "errmsg": "ok", "body": {"active_code": "active-code-1"}})
        }
        "active" if state.bound => {
            json!({"errcode": 0, "errmsg": "ok", "body": {"secret": "activation-secret-1"}})
        }
        "active" => json!({"errcode": 600_004, "errmsg": "not authorised, hint: [17_1_ab]"}),
        _ => json!({"errcode": 0, "errmsg": "ok"}),
    }
}

/// A download answer by hand. `lie` replaces the length of the data.
pub(crate) fn layout_a(req_id: &str, data: &[u8], lie: Option<u32>) -> Vec<u8> {
    let mut message = 1_u32.to_le_bytes().to_vec();
    message.extend((req_id.len() as u32).to_le_bytes());
    message.extend(req_id.as_bytes());
    message.extend(lie.unwrap_or(data.len() as u32).to_le_bytes());
    message.extend(data);
    message
}

/// The piece of `file` that a download request asks for.
pub(crate) fn slice(file: &[u8], body: &Value) -> Vec<u8> {
    let offset = body["offset"].as_u64().unwrap_or(0) as usize;
    let limit = match body["limit"].as_u64().unwrap_or(0) as usize {
        0 => file.len(),
        limit => limit,
    };
    let rest = file.get(offset..).unwrap_or_default();
    rest[..limit.min(rest.len())].to_vec()
}

/// A PDF of this size.
pub(crate) fn pdf(size: usize) -> Vec<u8> {
    let mut file = b"%PDF-1.4\n".to_vec();
    file.extend((file.len()..size).map(|n| (n % 251) as u8));
    file
}

/// Runs `work`, moving time whenever it only sleeps, and whenever the device waits before its next connection.
pub(crate) async fn drive<T>(
    clock: &ManualClock,
    device: &Device,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(clock.run(work));
    loop {
        tokio::select! {
            biased;
            value = &mut work => return value,
            () = reached(device, Phase::BackingOff) => {
                // Lets the device notice what time it is before more of it passes.
                tokio::task::yield_now().await;
                if device.phase() == Phase::BackingOff {
                    clock.move_to(clock.next_guard().unwrap());
                }
            }
        }
    }
}

/// Waits until the device is in this phase. Time stands still meanwhile.
pub(crate) async fn reached(device: &Device, phase: Phase) {
    loop {
        let now = device.phase();
        if now == phase {
            return;
        }
        assert!(device.phase_changed(now).await, "ended in {now:?}");
    }
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Online, at the beginning of time.
pub(crate) async fn online(builder: DeviceBuilder) -> Device {
    let device = builder.connect().unwrap();
    device.online(MINUTE).await.unwrap();
    device
}
