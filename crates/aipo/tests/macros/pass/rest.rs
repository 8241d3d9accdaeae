//! Python's free arguments: all the others by position or by name, and those by name only.

#![deny(warnings, missing_docs)]

use aipo::{ArgsReader, Parameter, Task, TaskArgs};
use aipo_core::message::Body;
use serde_json::{Map, Value, json};

#[aipo::task]
async fn sum(first: i64, #[arg(rest)] others: Vec<i64>) -> i64 {
    first + others.iter().sum::<i64>()
}

#[derive(TaskArgs)]
struct Everything {
    #[arg(rest)]
    args: Vec<Value>,
    #[arg(named)]
    limit: u8,
    #[arg(named, default = 3)]
    r#type: u8,
    #[arg(named_rest)]
    kwargs: Map<String, Value>,
}

fn main() {
    type Sum = <sum as Task>::Args;
    assert!(Sum::PARAMETERS.rest && !Sum::PARAMETERS.named_rest);
    let by_name = |name, required| Parameter { name, required };
    assert_eq!(
        Everything::PARAMETERS.named,
        [by_name("limit", true), by_name("type", false)]
    );

    let body = Body::parse(br#"[[1, "x"], {"limit": 2, "z": null}]"#).expect("a body");
    let reader = ArgsReader::new("task", Everything::PARAMETERS, &body).expect("it fits");
    let args = Everything::decode(reader).expect("all types fit");
    assert_eq!((args.limit, args.r#type), (2, 3));
    let (args, kwargs) = args.encode().expect("plain values");
    assert_eq!(Value::Array(args), json!([1, "x"]));
    assert_eq!(
        Value::Object(kwargs),
        json!({"limit": 2, "type": 3, "z": null})
    );

    let _ = sum::s(1, vec![2, 3]);
}
