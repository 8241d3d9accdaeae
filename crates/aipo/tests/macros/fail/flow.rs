use aipo::{App, group};

#[aipo::task]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[aipo::task]
async fn shout(text: String) -> String {
    text
}

#[aipo::task]
async fn total(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

#[aipo::task]
async fn nothing() {}

async fn wrong(app: App) {
    // What it takes is not what the step before gives.
    let _ = add::s(1, 2).then(shout::p());
    // All of a group, not one of it.
    let _ = group([add::s(1, 2)]).then(add::p(1));
    let _ = add::s(1, 2).then(total::p());
    // Nothing to leave out.
    let _ = nothing::p();
    // It still takes something.
    let _ = app.send(add::p(1)).await;
    // Errbacks are told an id.
    let _ = add::s(1, 2).on_error(add::p(1));
    // All members of a group give the same.
    let _ = group([add::s(1, 2), shout::s("a".to_owned())]);
}

fn main() {}
