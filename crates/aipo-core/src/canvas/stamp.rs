//! Stamps: names and values that a workflow carries to all of its tasks.

use serde_json::Value;

use super::signature::{Canvas, Kind, list};

/// The option that names the stamps; each of them is an option of its own name.
const NAMES: &str = "stamped_headers";

impl Canvas {
    /// Puts a stamp on this and all its parts, callbacks and errbacks included. One that has a stamp of this name
    /// keeps it. Celery's `stamp`.
    pub fn stamp(&mut self, name: &str, value: &Value) {
        let mut names = list(self.options.get(NAMES));
        let name_value = Value::from(name);
        if !names.contains(&name_value) {
            names.push(name_value);
            self.set(NAMES, names);
            self.set(name, value.clone());
        }
        for links in ["link", "link_error"] {
            if let Some(linked) = self.options.get(links) {
                let linked = list(Some(linked));
                let stamped = linked.into_iter().map(|link| stamped(link, name, value));
                let stamped: Vec<Value> = stamped.collect();
                self.set(links, stamped);
            }
        }
        match &mut self.kind {
            Kind::Task { .. } => {}
            Kind::Chain(parts) | Kind::Group(parts) => {
                parts.iter_mut().for_each(|part| part.stamp(name, value));
            }
            Kind::Chord { header, body } => {
                header.stamp(name, value);
                body.stamp(name, value);
            }
        }
    }
}

/// A linked signature with the stamp; what is none is told when it is sent.
fn stamped(link: Value, name: &str, value: &Value) -> Value {
    match Canvas::from_value(&link) {
        Ok(mut canvas) => {
            canvas.stamp(name, value);
            canvas.to_value()
        }
        Err(_) => link,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stamp_reaches_all_parts_and_replaces_none() {
        let mut add = Canvas::task("add");
        add.link(&Canvas::task("echo").to_value());
        let mut kept = Canvas::task("kept");
        kept.stamp("by", &json!("another"));
        let mut workflow = Canvas::chord(vec![Canvas::chain(vec![add, kept])], Canvas::task("sum"));
        workflow.stamp("by", &json!(["me"]));

        let Kind::Chord { header, body } = &workflow.kind else {
            panic!("a chord stays one")
        };
        assert_eq!(body.options["by"], json!(["me"]));
        assert_eq!(body.options[NAMES], json!(["by"]));
        let Kind::Group(members) = &header.kind else {
            panic!("a header is a group")
        };
        let Kind::Chain(steps) = &members[0].kind else {
            panic!("a chain stays one")
        };
        assert_eq!(steps[0].options["link"][0]["options"]["by"], json!(["me"]));
        assert_eq!(steps[1].options["by"], json!("another"));
    }
}
