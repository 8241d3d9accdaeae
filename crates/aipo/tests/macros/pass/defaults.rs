//! A message may leave out an argument that has a default.

#![deny(warnings, missing_docs)]

use aipo::{ArgsReader, BadArguments, Task, TaskArgs};
use aipo_core::message::Body;
use serde_json::{Value, json};

const LANGUAGE: &str = "pt";

#[aipo::task]
async fn greet(
    name: String,
    #[arg(default = LANGUAGE.to_owned())] language: String,
    #[arg(default)] loud: bool,
    #[arg(default = 1 + 1)] times: u8,
) -> String {
    format!("{name} {language} {loud} {times}")
}

#[derive(TaskArgs)]
struct Report {
    month: u8,
    #[arg(default)]
    r#type: Option<String>,
    #[arg(default = vec![1, 2])]
    pages: Vec<u32>,
}

fn read<A: TaskArgs>(body: &str) -> Result<Vec<Value>, BadArguments> {
    let body = Body::parse(body.as_bytes()).expect("a body");
    let args = A::decode(ArgsReader::new("app.task", A::PARAMETERS, &body)?)?;
    let (args, kwargs) = args.encode().expect("arguments of plain types");
    assert!(kwargs.is_empty(), "all of them go by position");
    Ok(args)
}

#[track_caller]
fn check<A: TaskArgs>(body: &str, args: Value) {
    assert_eq!(read::<A>(body).map(Value::Array), Ok(args), "{body}");
}

fn main() {
    type Greet = <greet as Task>::Args;
    check::<Greet>(r#"[["Ana"], {}]"#, json!(["Ana", "pt", false, 2]));
    check::<Greet>(
        r#"[["Ana", "en"], {"loud": true}]"#,
        json!(["Ana", "en", true, 2]),
    );
    check::<Greet>(
        r#"[[], {"name": "Ana", "times": 3}]"#,
        json!(["Ana", "pt", false, 3]),
    );
    let error = read::<Greet>("[[], {}]").expect_err("the name is missing");
    assert_eq!(error.0, "task() missing 1 required positional argument: 'name'");

    check::<Report>("[[3], {}]", json!([3, null, [1, 2]]));
    check::<Report>(r#"[[3], {"type": "tax"}]"#, json!([3, "tax", [1, 2]]));
    let error = read::<Report>("[[3, null, [], 4], {}]").expect_err("one too many");
    assert_eq!(
        error.0,
        "task() takes from 1 to 3 positional arguments but 4 were given"
    );

    let _ = greet::s("Ana".to_owned(), "en".to_owned(), true, 1);
}
