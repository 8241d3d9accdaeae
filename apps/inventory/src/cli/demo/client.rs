//! The demonstration's HTTP client: asks the API as any program would.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body, SendBody};

use crate::cli::problem::Problem;

const USER: &str = "demo";

/// No request of the demonstration takes longer, the upload of the longest catalogue among them.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The largest JSON answer that is read.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

pub(super) struct Client {
    agent: Agent,
    base: String,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // An answer is looked at whatever its status.
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            base: format!("http://{address}"),
        }
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Problem> {
        let answer = self.agent.get(self.url(path)).header("X-User", USER).call();
        json(path, answer, 200)
    }

    pub(super) fn post(&self, path: &str, body: &Value, status: u16) -> Result<Value, Problem> {
        let request = self.agent.post(self.url(path)).header("X-User", USER);
        json(
            path,
            request
                .content_type("application/json")
                .send(body.to_string()),
            status,
        )
    }

    pub(super) fn delete(&self, path: &str) -> Result<Value, Problem> {
        let answer = self
            .agent
            .delete(self.url(path))
            .header("X-User", USER)
            .call();
        json(path, answer, 200)
    }

    /// Sends a file as the field `file` of a form, in a stream.
    pub(super) fn upload(&self, path: &str, file: &Path, status: u16) -> Result<Value, Problem> {
        const BOUNDARY: &str = "----inventory-demo";
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: text/csv\r\n\r\n"
        );
        let tail = format!("\r\n--{BOUNDARY}--\r\n");
        let file = File::open(file).map_err(Problem::failed("o catálogo não pode ser lido"))?;
        let mut form = Cursor::new(head).chain(file).chain(Cursor::new(tail));
        let answer = self
            .agent
            .post(self.url(path))
            .header("X-User", USER)
            .content_type(format!("multipart/form-data; boundary={BOUNDARY}"))
            .send(SendBody::from_reader(&mut form));
        json(path, answer, status)
    }

    /// Writes the file of a path to `to`.
    pub(super) fn download(&self, path: &str, to: &Path) -> Result<(), Problem> {
        let unwritable = || Problem::failed(format!("{} não pode ser escrito", to.display()));
        let mut answer = self
            .agent
            .get(self.url(path))
            .header("X-User", USER)
            .call()
            .map_err(Problem::failed(format!("{path} não responde")))?;
        if answer.status() != 200 {
            return Err(Problem::new(format!(
                "{path} respondeu {}",
                answer.status()
            )));
        }
        let mut file = File::create(to).map_err(unwritable())?;
        std::io::copy(&mut answer.body_mut().as_reader(), &mut file).map_err(unwritable())?;
        file.flush().map_err(unwritable())
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn json(
    path: &str,
    answer: Result<Response<Body>, ureq::Error>,
    status: u16,
) -> Result<Value, Problem> {
    let mut answer = answer.map_err(Problem::failed(format!("{path} não responde")))?;
    let text = answer
        .body_mut()
        .with_config()
        .limit(MAX_ANSWER)
        .read_to_string()
        .map_err(Problem::failed(format!(
            "a resposta de {path} não chegou inteira"
        )))?;
    if answer.status() != status {
        return Err(Problem::new(format!(
            "{path} respondeu {}: {text}",
            answer.status()
        )));
    }
    serde_json::from_str(&text).map_err(Problem::failed(format!(
        "a resposta de {path} não é JSON: {text}"
    )))
}
