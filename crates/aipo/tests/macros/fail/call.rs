//! A wrong argument does not compile.

#[aipo::task]
async fn add(x: i64, y: i64) -> i64 {
    x + y
}

fn main() {
    let _ = add::s("one", 2);
    let _ = add::s(1);
    let _: aipo::Call<String> = add::s(1, 2);
}
