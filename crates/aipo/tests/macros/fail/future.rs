//! A worker moves tasks between its threads.

use std::rc::Rc;

#[aipo::task]
async fn not_send() {
    let shared = Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

fn main() {}
