//! Workflows whose steps fit, of tasks with arguments of every kind.

#![deny(warnings)]

use aipo::{Call, Flow, Group, Takes, TaskId, group, map, starmap};

#[aipo::task]
async fn one(x: i64) -> i64 {
    x
}

#[aipo::task]
fn every(
    _cx: &aipo::Context,
    x: i64,
    #[arg(default = 1)] y: i64,
    #[arg(rest)] more: Vec<i64>,
    #[arg(named)] args: String,
    #[arg(named_rest)] kwargs: serde_json::Map<String, serde_json::Value>,
) -> i64 {
    let _ = (args, kwargs);
    x + y + more.iter().sum::<i64>()
}

#[aipo::task]
async fn only_rest(#[arg(rest)] more: Vec<i64>) -> i64 {
    more.iter().sum()
}

#[aipo::task]
async fn on_error(id: TaskId) {
    drop(id);
}

#[aipo::task]
async fn total(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

fn main() {
    let partial: Call<i64, Takes<i64>> = one::p().queue("q").priority(3);
    let flow: Flow<i64> = only_rest::s(vec![1, 2])
        .then(partial.clone())
        .link(one::p())
        .then(every::p(2, vec![3], "a".to_owned(), Default::default()))
        .on_error(on_error::p())
        .stamp("user", 5);
    let members: Group<i64> = group([flow.clone(), flow.clone().then(one::s(5))]);
    let step: Flow<i64, Takes<i64>> = group([partial.clone(), partial]).then(total::p());
    let whole: Flow<i64> = members.then(total::p()).then(step).then(flow);
    let _lists: Flow<Vec<i64>> = map(one::p(), 0..3);
    let _lists: Flow<Vec<i64>> = starmap((0..3).map(one::s)).then(total::p()).then(map(one::p(), [1]));
    let _json: Flow<serde_json::Value> = whole.returning();
}
