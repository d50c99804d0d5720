//! The Chrome DevTools Protocol over the pipe of `--remote-debugging-pipe`: JSON ended by NUL.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{self, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

const ANSWER: Duration = Duration::from_secs(30);

/// A handle to the browser's end of the pipe.
#[derive(Debug, Clone)]
pub(crate) struct Cdp {
    calls: mpsc::Sender<Call>,
    lines: Arc<watch::Sender<Vec<LogLine>>>,
}

/// A line a page logged, an error it threw or one the browser reports of it.
#[derive(Debug)]
struct LogLine {
    session: String,
    text: String,
}

#[derive(Debug)]
struct Call {
    message: Value,
    answer: oneshot::Sender<Result<Value, String>>,
}

impl Cdp {
    /// A handle, and the task that serves it until the browser closes the pipe.
    pub(crate) fn new(
        to_browser: ChildStdin,
        from_browser: ChildStdout,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (calls, inbox) = mpsc::channel(64);
        let lines = Arc::new(watch::Sender::default());
        let handle = Self { calls, lines: Arc::clone(&lines) };
        let serve = async move {
            // However the pipe ends, those who wait learn it from their dropped answers.
            let _ = serve(to_browser, from_browser, inbox, &lines).await;
        };
        (handle, serve)
    }

    /// Calls `method`, of a page's session where one is given; an error is the browser's message.
    pub(crate) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let (answer, answered) = oneshot::channel();
        let message = request(session, method, params);
        let exchange = async {
            let sent = self.calls.send(Call { message, answer }).await;
            sent.map_err(|_| "the browser is gone".to_owned())?;
            answered.await.map_err(|_| "the browser has ended".to_owned())?
        };
        timeout(ANSWER, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {ANSWER:?}")))
            .map_err(|error| format!("{method}: {error}"))
    }

    /// Calls `method` if the browser can be told at once, and leaves it at that: for `Drop`.
    pub(crate) fn tell(&self, method: &str, params: Value) {
        let (answer, _) = oneshot::channel();
        let message = request(None, method, params);
        let _ = self.calls.try_send(Call { message, answer });
    }

    /// What the page of `session` has logged so far.
    pub(crate) fn lines(&self, session: &str) -> Vec<String> {
        let lines = self.lines.borrow();
        lines.iter().filter(|line| line.session == session).map(|line| line.text.clone()).collect()
    }
}

fn request(session: Option<&str>, method: &str, params: Value) -> Value {
    let mut message = json!({ "method": method, "params": params });
    if let Some(session) = session {
        message["sessionId"] = session.into();
    }
    message
}

async fn serve(
    mut to_browser: ChildStdin,
    from_browser: ChildStdout,
    mut inbox: mpsc::Receiver<Call>,
    lines: &watch::Sender<Vec<LogLine>>,
) -> io::Result<()> {
    let mut from_browser = BufReader::new(from_browser);
    let mut buffer = Vec::new();
    let mut open = HashMap::new();
    let mut last_id = 0_u64;
    loop {
        tokio::select! {
            call = inbox.recv() => {
                let Some(Call { mut message, answer }) = call else { return Ok(()) };
                last_id += 1;
                message["id"] = last_id.into();
                open.insert(last_id, answer);
                to_browser.write_all(format!("{message}\0").as_bytes()).await?;
            }
            // Keeps what it has read in the buffer when the other branch wins.
            read = from_browser.read_until(0, &mut buffer) => {
                if read? == 0 || buffer.pop() != Some(0) {
                    return Ok(());
                }
                let message: Value = serde_json::from_slice(&buffer)?;
                buffer.clear();
                if let Some(answer) = message["id"].as_u64().and_then(|id| open.remove(&id)) {
                    let _ = answer.send(outcome(message));
                } else if let Some(line) = log_line(&message) {
                    lines.send_modify(|lines| lines.push(line));
                }
            }
        }
    }
}

fn outcome(mut message: Value) -> Result<Value, String> {
    match message.get("error") {
        Some(error) => Err(text(&error["message"])),
        None => Ok(message["result"].take()),
    }
}

fn log_line(message: &Value) -> Option<LogLine> {
    let params = &message["params"];
    let text = match message["method"].as_str()? {
        "Runtime.consoleAPICalled" => {
            let words: Vec<_> = params["args"].as_array()?.iter().map(remote).collect();
            format!("{}: {}", text(&params["type"]), words.join(" "))
        }
        "Runtime.exceptionThrown" => format!("uncaught: {}", thrown(&params["exceptionDetails"])),
        "Log.entryAdded" => {
            let entry = &params["entry"];
            let [level, message, url] = ["level", "text", "url"].map(|key| text(&entry[key]));
            format!("{level}: {message} {url}")
        }
        "Inspector.targetCrashed" => "the page crashed".into(),
        _ => return None,
    };
    Some(LogLine { session: message["sessionId"].as_str()?.to_owned(), text })
}

/// What an `ExceptionDetails` says, with the stack where there is one.
pub(crate) fn thrown(details: &Value) -> String {
    match details.get("exception") {
        Some(exception) => remote(exception),
        None => text(&details["text"]),
    }
}

/// A `RemoteObject` as the console would show it.
fn remote(object: &Value) -> String {
    object.get("value").or(object.get("description")).map_or_else(|| text(&object["type"]), text)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
