//! A task may stand anywhere a function may, as visible as it; without a name it has that of its place.

#![deny(warnings, missing_docs)]

use aipo::Task;

mod billing {
    pub mod invoices {
        /// Sends an invoice.
        #[aipo::task]
        pub(in crate::billing) async fn send(number: u32) -> u32 {
            number
        }

        #[aipo::task]
        pub async fn r#match(r#type: String) -> String {
            r#type
        }

        #[aipo::task]
        async fn private() {}

        pub fn check() {
            let _ = private::s();
        }
    }

    pub fn check() {
        use aipo::Task;

        assert_eq!(
            invoices::send::NAME,
            concat!(module_path!(), ".invoices.send").replace("::", ".")
        );
        let _ = invoices::send::s(1);
    }
}

macro_rules! sum {
    ($name:ident, $number:ty) => {
        #[aipo::task]
        async fn $name(x: $number, y: $number) -> $number {
            x + y
        }
    };
}

sum!(sum_of_floats, f64);

fn main() {
    #[aipo::task]
    async fn local(x: i32) -> i32 {
        x
    }

    billing::check();
    billing::invoices::check();
    let _ = billing::invoices::r#match::s("a".to_owned());
    assert!(billing::invoices::r#match::NAME.ends_with(".billing.invoices.match"));
    let _ = sum_of_floats::s(1.0, 2.0);
    let _ = local::s(1);
    assert!(local::NAME.ends_with(".local"));
}
