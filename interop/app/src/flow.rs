//! `flow`: builds workflows and sends them.
//!
//! A workflow is a JSON object, nested at will:
//!
//! ```json
//! {"chord": [{"task": "py.add", "args": [1, 2], "queue": "python"},
//!            {"chain": [{"task": "interop.add", "args": [3, 4], "queue": "rust"}]}],
//!  "body": {"task": "py.echo", "queue": "python"},
//!  "link": [{"task": "shared.mark", "args": ["file", "done"], "immutable": true, "queue": "rust"}]}
//! ```

use std::io::Read as _;

use aipo::{AppBuilder, Canvas};
use serde::Deserialize;
use serde_json::Value;

type BoxError = Box<dyn std::error::Error>;

/// Sends each workflow and prints its results as Celery writes them (`as_tuple`), one a line.
pub(crate) async fn send(app: AppBuilder) -> Result<(), BoxError> {
    let mut lines = String::new();
    std::io::stdin().read_to_string(&mut lines)?;
    let app = app.build().await?;
    for line in lines.lines() {
        let spec: Spec = serde_json::from_str(line)?;
        let results = app.send_canvas(spec.into_canvas()).await?;
        println!("{}", results.ok_or("it runs nothing")?.to_value());
    }
    Ok(())
}

#[derive(Deserialize)]
struct Spec {
    #[serde(flatten)]
    what: What,
    #[serde(default)]
    link: Vec<Spec>,
    #[serde(default)]
    link_error: Vec<Spec>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum What {
    Chain {
        chain: Vec<Spec>,
    },
    Group {
        group: Vec<Spec>,
    },
    Chord {
        chord: Vec<Spec>,
        body: Box<Spec>,
    },
    Task {
        task: String,
        #[serde(default)]
        args: Vec<Value>,
        queue: String,
        #[serde(default)]
        immutable: bool,
    },
}

impl Spec {
    fn into_canvas(self) -> Canvas {
        let all = |specs: Vec<Spec>| specs.into_iter().map(Spec::into_canvas).collect();
        let mut canvas = match self.what {
            What::Chain { chain } => Canvas::chain(all(chain)),
            What::Group { group } => Canvas::group(all(group)),
            What::Chord { chord, body } => Canvas::chord(all(chord), body.into_canvas()),
            What::Task {
                task,
                args,
                queue,
                immutable,
            } => {
                let mut canvas = Canvas {
                    args,
                    immutable,
                    ..Canvas::task(task)
                };
                canvas.options.insert("queue".to_owned(), queue.into());
                canvas
            }
        };
        for callback in self.link {
            canvas.link(&callback.into_canvas().to_value());
        }
        for errback in self.link_error {
            canvas.link_error(&errback.into_canvas().to_value());
        }
        canvas
    }
}
