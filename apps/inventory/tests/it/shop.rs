//! An inventory of a test's own: fresh files, an app on the memory store, requests without a
//! network.

use std::time::Duration;

use aipo::testing::Sent;
use aipo::{App, Worker};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use inventory::api;
use inventory::catalog::Catalog;
use inventory::jobs::Inventory;
use inventory::media::Media;
use inventory::tasks;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

/// Uploads beyond this are too large in tests.
pub(crate) const MAX_UPLOAD: usize = 100_000;

const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Shop {
    pub(crate) inventory: Inventory,
    pub(crate) sent: Sent,
    router: Router,
    folder: TempDir,
}

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Code and field of an error.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
        assert!(
            !text("message").is_empty(),
            "an error has a message: {error}"
        );
        (self.status.as_u16(), text("code"), text("field"))
    }
}

impl Shop {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let catalog = Catalog::open(&folder.path().join("inventory.db")).expect("opens");
        let media = Media::open(&folder.path().join("media")).expect("opens");
        let builder = tasks::register(App::builder("inventory"), &catalog, &media);
        let app = aipo::testing::build(builder).await.expect("builds");
        let sent = Sent::by(&app);
        let inventory = Inventory {
            app,
            catalog,
            media,
        };
        let router = api::router(inventory.clone(), MAX_UPLOAD);
        Self {
            inventory,
            sent,
            router,
            folder,
        }
    }

    pub(crate) async fn worker(&self) -> Worker {
        self.inventory
            .app
            .worker()
            .concurrency(2)
            .start()
            .await
            .expect("starts")
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("infallible");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX)
            .await
            .expect("a whole body")
            .to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Asks as the user `ana`, without a body.
    pub(crate) async fn call(&self, method: Method, path: &str) -> Answer {
        self.ask(request(method, path, "ana", Body::empty())).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).await
    }

    pub(crate) async fn export(&self, body: &str) -> Answer {
        self.ask(request(
            Method::POST,
            "/export/",
            "ana",
            Body::from(body.to_owned()),
        ))
        .await
    }

    pub(crate) async fn upload(&self, file: &[u8]) -> Answer {
        self.upload_form(&[("file", Some("produtos.csv"), file)])
            .await
    }

    /// Sends a form with these fields: name, file name, contents.
    pub(crate) async fn upload_form(&self, fields: &[(&str, Option<&str>, &[u8])]) -> Answer {
        let mut form = Vec::new();
        for (name, file_name, contents) in fields {
            let file_name = file_name
                .map(|name| format!("; filename=\"{name}\""))
                .unwrap_or_default();
            form.extend(
                format!(
                    "--XX\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n\r\n"
                )
                .bytes(),
            );
            form.extend_from_slice(contents);
            form.extend_from_slice(b"\r\n");
        }
        form.extend_from_slice(b"--XX--\r\n");
        self.upload_raw(&form).await
    }

    /// Sends this as a form with the boundary `XX`.
    pub(crate) async fn upload_raw(&self, form: &[u8]) -> Answer {
        let mut request = request(Method::POST, "/import/", "ana", Body::from(form.to_vec()));
        let content_type = "multipart/form-data; boundary=XX".parse().expect("valid");
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        self.ask(request).await
    }

    /// Waits until the task of a `202` has ended, and gives its notification.
    pub(crate) async fn done(&self, queued: &Answer) -> Value {
        assert_eq!(queued.status, StatusCode::ACCEPTED, "{queued:?}");
        let queued = queued.json();
        assert_eq!(queued["status"], "queued");
        let task_id = queued["task_id"].as_str().expect("a task id");
        let handle = self.inventory.app.result::<Value>(task_id);
        handle
            .wait(PATIENCE)
            .await
            .expect("the store answers")
            .expect("the task ends in time");
        let jobs = self.get("/notifications/").await.json();
        let jobs = jobs["items"].as_array().expect("a list").clone();
        jobs.into_iter()
            .find(|job| job["id"] == queued["notification_id"])
            .expect("listed")
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        let connection = self.inventory.catalog.connect().expect("connects");
        connection
            .query_row(sql, [], |row| row.get(0))
            .expect("one number")
    }

    /// All files of the media folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        for folder in ["uploads", "exports", "partial"] {
            let path = self.folder.path().join("media").join(folder);
            for entry in std::fs::read_dir(path).expect("reads") {
                files.push(
                    entry
                        .expect("reads")
                        .file_name()
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
        files
    }
}

pub(crate) fn request(method: Method, path: &str, user: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("X-User", user)
        .body(body)
        .expect("a valid request")
}

/// A catalogue of so many good lines.
pub(crate) fn catalogue(lines: u64) -> String {
    let mut text = "sku;nome;categoria;custo;preço;quantidade\n".to_owned();
    for n in 1..=lines {
        text.push_str(&format!(
            "P-{n};Produto {n};Categoria {};1,00;2,00;{n}\n",
            n % 7
        ));
    }
    text
}
