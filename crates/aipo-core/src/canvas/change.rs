//! Changes to a signature as a whole, before it is sent: `set`, `stamp`, taking nothing from a step before.

use super::options::{merge, write};
use super::signature::{Canvas, Kind};
use super::steps::unchain;
use crate::signature::CallOptions;

impl Canvas {
    /// Sets options where Celery's `set` has them take effect: those of the first task of a chain, of every member of
    /// a group, of the members and of what follows them in a chord. A chord's members alone are delayed.
    pub fn set_options(&mut self, options: &CallOptions) {
        match &mut self.kind {
            Kind::Task { .. } => merge(&mut self.options, &write(options)),
            Kind::Chain(tasks) => tasks
                .iter_mut()
                .take(1)
                .for_each(|task| task.set_options(options)),
            Kind::Group(members) => members
                .iter_mut()
                .for_each(|member| member.set_options(options)),
            Kind::Chord { header, body } => {
                header.set_options(options);
                let at_once = CallOptions {
                    eta: None,
                    ..options.clone()
                };
                body.set_options(&at_once);
            }
        }
    }

    /// Gives what is linked to a chain to its steps: callbacks to the last one, errbacks to all.
    #[must_use]
    pub fn spread_links(self) -> Self {
        if !matches!(self.kind, Kind::Chain(_)) {
            return self;
        }
        let mut options = self.options.clone();
        for option in ["link", "link_error"] {
            options.remove(option);
        }
        Self {
            options,
            ..Self::chain(unchain(self))
        }
    }

    /// Lets it take nothing of what a step before it gives. Celery's `immutable`.
    pub fn take_nothing(&mut self) {
        match &mut self.kind {
            Kind::Task { .. } => self.immutable = true,
            Kind::Chain(tasks) => tasks.iter_mut().take(1).for_each(Self::take_nothing),
            Kind::Group(members) => members.iter_mut().for_each(Self::take_nothing),
            Kind::Chord { header, .. } => header.take_nothing(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_nothing_is_the_first_that_runs() {
        let mut canvas = Canvas::chain(vec![
            Canvas::chord(
                vec![Canvas::task("a"), Canvas::task("b")],
                Canvas::task("c"),
            ),
            Canvas::task("d"),
        ]);
        canvas.take_nothing();

        let told = serde_json::to_string(&canvas).expect("JSON");
        assert_eq!(told.matches(r#""immutable":true"#).count(), 2, "{told}");
    }
}
