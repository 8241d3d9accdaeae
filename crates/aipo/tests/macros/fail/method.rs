//! A method is no task.

#![allow(unused_variables, reason = "the errors are the point")]

struct Mailer;

impl Mailer {
    #[aipo::task]
    async fn send(&self, to: String) {}
}

fn main() {}
